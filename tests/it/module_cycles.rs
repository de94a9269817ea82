//! Checks that the files of each crate have no cyclic dependencies.
//!
//! Parses all files and resolves each name to the file that defines it: in `use` lines, in paths in the code, and
//! through re-exports. If `page.rs` uses `page/rows.rs` and `page/rows.rs` uses `super::Page`, that is a cycle. Code
//! for tests does not count, nor does the root of a crate, which declares and re-exports. Does not see names inside
//! macros.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cargo_metadata::MetadataCommand;
use syn::{Attribute, Item, ItemUse, UseTree, Visibility, visit::Visit};

/// A module's path from the root of its crate.
type Module = Vec<String>;

/// One crate.
#[derive(Default)]
struct Crate {
    files: BTreeMap<Module, File>,
    /// The targets of re-exports, by module and name.
    reexports: BTreeMap<(Module, String), Module>,
}

/// The absolute paths that a file names. Those in `exported` count only if the file itself uses their last name.
#[derive(Default)]
struct File {
    named: Vec<Module>,
    exported: Vec<Module>,
    first_names: BTreeSet<String>,
}

#[test]
fn no_crate_has_cyclic_files() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let mut files = 0;
    for package in metadata.workspace_packages() {
        let root = package.manifest_path.parent().expect("a folder").join("src");
        let uses = dependencies(root.as_std_path());
        files += uses.len();
        let cyclic = cyclic_files(uses);
        assert!(cyclic.is_empty(), "{}: files in a cycle, or using one: {cyclic:#?}", package.name);
    }
    assert!(files > 100, "the sources are found: {files}");
}

#[test]
fn cycle_is_found_through_parents_and_re_exports() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::part::Part;\n");
    write("a.rs", "pub mod part;\nuse part::Part;\npub struct Whole(Part);\n");
    write("a/part.rs", "pub struct Part;\n#[cfg(test)]\nmod tests { use super::super::Whole; }\n");
    write("b.rs", "use crate::{Part, a::Whole};\npub fn f(_: Part) -> Option<Whole> { None }\n");
    write("c.rs", "pub fn g() { crate::b::f(crate::Part); }\n");
    let names = |uses: BTreeMap<String, BTreeSet<String>>| uses.into_keys().collect::<Vec<_>>();
    let uses = dependencies(folder.path());
    assert_eq!(uses["b"], BTreeSet::from(["a".to_owned(), "a::part".to_owned()]));
    assert_eq!(uses["c"], BTreeSet::from(["a::part".to_owned(), "b".to_owned()]));
    assert_eq!(names(cyclic_files(uses)), [""; 0]);
    write("a/part.rs", "pub struct Part(Option<Box<super::Whole>>);\n");
    assert_eq!(
        names(cyclic_files(dependencies(folder.path()))),
        ["a", "a::part", "b", "c"],
        "and the files that use it"
    );
}

/// Returns for each file of a crate the files that it uses.
fn dependencies(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut sources = Vec::new();
    collect(root, &Vec::new(), &mut sources);
    let modules: BTreeSet<Module> = sources.iter().map(|(module, _)| module.clone()).collect();
    let (mut krate, mut for_tests) = (Crate::default(), BTreeSet::new());
    for (module, text) in sources {
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{module:?}: {error}"));
        let mut reader = Reader { module: &module, modules: &modules, file: File::default() };
        for item in &parsed.items {
            match item {
                Item::Mod(inner) if is_for_tests(&inner.attrs) => {
                    for_tests.insert(joined(&module, &inner.ident.to_string()));
                }
                Item::Use(item) => reader.add_use(item, &mut krate.reexports),
                other if !is_for_tests(attributes(other)) => reader.visit_item(other),
                _ => {}
            }
        }
        let file = reader.file;
        krate.files.insert(module, file);
    }
    krate.files.retain(|module, _| !for_tests.iter().any(|test| module.starts_with(test)));
    krate.dependencies()
}

/// Repeatedly removes files that use only removed files. The remaining files are in a cycle, or use one.
fn cyclic_files(mut uses: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    while let Some(free) = uses.iter().find(|(_, used)| used.iter().all(|file| !uses.contains_key(file))) {
        let free = free.0.clone();
        uses.remove(&free);
    }
    uses
}

impl Crate {
    fn dependencies(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut dependencies = BTreeMap::new();
        for (module, file) in self.files.iter().filter(|(module, _)| !module.is_empty()) {
            let exported =
                file.exported.iter().filter(|path| path.last().is_some_and(|n| file.first_names.contains(n)));
            let used = file.named.iter().chain(exported).map(|path| self.file_of(path));
            let used = used.filter(|used| !used.is_empty() && used != module).map(|used| used.join("::")).collect();
            dependencies.insert(module.join("::"), used);
        }
        dependencies
    }

    /// Returns the module in whose file a path is defined.
    fn file_of(&self, path: &[String]) -> Module {
        let mut path = path.to_vec();
        // More steps than any chain of re-exports has.
        for _ in 0..8 {
            let depth = (0..=path.len()).rev().find(|&n| self.files.contains_key(&path[..n])).unwrap_or(0);
            let module = path[..depth].to_vec();
            let Some(name) = path.get(depth) else { return module };
            match self.reexports.get(&(module.clone(), name.clone())) {
                Some(target) => path = [&target[..], &path[depth + 1..]].concat(),
                None => return module,
            }
        }
        panic!("a re-export of itself: {path:?}")
    }
}

/// Collects the paths that one file names.
struct Reader<'a> {
    module: &'a Module,
    modules: &'a BTreeSet<Module>,
    file: File,
}

impl Reader<'_> {
    fn add_use(&mut self, item: &ItemUse, reexports: &mut BTreeMap<(Module, String), Module>) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let mut found = Vec::new();
        expand(&item.tree, &mut Vec::new(), &mut found);
        for (path, name) in found {
            let Some(path) = self.absolute(&path) else { continue };
            if matches!(item.vis, Visibility::Inherited) {
                self.file.named.push(path);
            } else {
                reexports.insert((self.module.clone(), name), path.clone());
                self.file.exported.push(path);
            }
        }
    }

    /// Returns a path from the root of the crate; none for paths to other crates and within this file.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let first = path.first()?;
        match first.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&self.module[..], &path[1..]].concat()),
            "super" => {
                let up = path.iter().take_while(|segment| *segment == "super").count();
                let base = self.module.len().checked_sub(up)?;
                Some([&self.module[..base], &path[up..]].concat())
            }
            _ => {
                let child = joined(self.module, first);
                self.modules.contains(&child).then(|| [&self.module[..], path].concat())
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.file.first_names.extend(segments.first().cloned());
        if segments.len() > 1 {
            self.file.named.extend(self.absolute(&segments));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(in path)` and `pub(super)` use nothing.
    }

    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A `use` inside a function.
        self.add_use(item, &mut BTreeMap::new());
    }
}

/// Returns the paths of a `use`, each with the name that it introduces.
fn expand(tree: &UseTree, before: &mut Module, found: &mut Vec<(Module, String)>) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            expand(&path.tree, before, found);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.clone(), before.last().cloned().unwrap_or_default()));
        }
        UseTree::Name(name) => found.push((joined(before, &name.ident.to_string()), name.ident.to_string())),
        UseTree::Rename(name) => found.push((joined(before, &name.ident.to_string()), name.rename.to_string())),
        UseTree::Glob(_) => found.push((before.clone(), "*".to_owned())),
        UseTree::Group(group) => group.items.iter().for_each(|item| expand(item, before, found)),
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = |list: &syn::MetaList| list.tokens.to_string() == "test";
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(is_test)
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn joined(module: &[String], name: &str) -> Module {
    [module, &[name.to_owned()]].concat()
}

/// Collects all source files with their module's path. `lib.rs`, `main.rs` and `mod.rs` are the module of their folder.
fn collect(folder: &Path, above: &Module, sources: &mut Vec<(Module, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, &joined(above, &name), sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") && name != "main" {
            let module = if matches!(name.as_str(), "lib" | "mod") { above.clone() } else { joined(above, &name) };
            sources.push((module, fs::read_to_string(&path).expect("text")));
        }
    }
}
