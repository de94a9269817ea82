//! No file of a crate uses another that uses it: the arrows between the files of each crate have no circle.
//!
//! Files are parsed, and what each names is followed to the file that defines it: over `use` lines, over paths in the code,
//! and through re-exports. `page.rs` that uses `page/rows.rs` while `page/rows.rs` uses `super::Page` is a circle. What is for
//! tests only does not count, nor does the root of a crate, which declares and re-exports. Does not see what is named inside
//! of macros.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cargo_metadata::MetadataCommand;
use syn::{Attribute, Item, ItemUse, UseTree, Visibility, visit::Visit};

/// A module's path below the root of its crate.
type Module = Vec<String>;

/// One crate.
#[derive(Default)]
struct Crate {
    files: BTreeMap<Module, File>,
    /// What modules re-export, by the module and the name.
    reexports: BTreeMap<(Module, String), Module>,
}

/// What one file names, as absolute paths; `exported` ones count if the file itself uses their last name.
#[derive(Default)]
struct File {
    named: Vec<Module>,
    exported: Vec<Module>,
    first_names: BTreeSet<String>,
}

#[test]
fn no_crate_has_a_circle_of_files() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let mut files = 0;
    for package in metadata.workspace_packages() {
        let root = package.manifest_path.parent().expect("a folder").join("src");
        let uses = arrows(root.as_std_path());
        files += uses.len();
        let left = without_free_ones(uses);
        assert!(left.is_empty(), "{}: files in a circle, or above one: {left:#?}", package.name);
    }
    assert!(files > 100, "the sources are where they are looked for: {files}");
}

#[test]
fn a_circle_is_found_over_parents_and_re_exports() {
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
    let uses = arrows(folder.path());
    assert_eq!(uses["b"], BTreeSet::from(["a".to_owned(), "a::part".to_owned()]));
    assert_eq!(uses["c"], BTreeSet::from(["a::part".to_owned(), "b".to_owned()]));
    assert_eq!(names(without_free_ones(uses)), [""; 0]);
    write("a/part.rs", "pub struct Part(Option<Box<super::Whole>>);\n");
    assert_eq!(names(without_free_ones(arrows(folder.path()))), ["a", "a::part", "b", "c"], "and what is above it");
}

/// Which files of a crate use which.
fn arrows(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
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
                Item::Use(item) => reader.take_use(item, &mut krate.reexports),
                other if !is_for_tests(attributes(other)) => reader.visit_item(other),
                _ => {}
            }
        }
        let file = reader.file;
        krate.files.insert(module, file);
    }
    krate.files.retain(|module, _| !for_tests.iter().any(|test| module.starts_with(test)));
    krate.arrows()
}

/// What uses only what was taken out already is taken out, over and over; what is left is a circle, or uses one.
fn without_free_ones(mut uses: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    while let Some(free) = uses.iter().find(|(_, used)| used.iter().all(|file| !uses.contains_key(file))) {
        let free = free.0.clone();
        uses.remove(&free);
    }
    uses
}

impl Crate {
    fn arrows(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut arrows = BTreeMap::new();
        for (module, file) in self.files.iter().filter(|(module, _)| !module.is_empty()) {
            let exported =
                file.exported.iter().filter(|path| path.last().is_some_and(|n| file.first_names.contains(n)));
            let used = file.named.iter().chain(exported).map(|path| self.file_of(path));
            let used = used.filter(|used| !used.is_empty() && used != module).map(|used| used.join("::")).collect();
            arrows.insert(module.join("::"), used);
        }
        arrows
    }

    /// The module in whose file a path is defined.
    fn file_of(&self, path: &[String]) -> Module {
        let mut path = path.to_vec();
        // As many steps as any chain of re-exports has.
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

/// Reads what one file names.
struct Reader<'a> {
    module: &'a Module,
    modules: &'a BTreeSet<Module>,
    file: File,
}

impl Reader<'_> {
    fn take_use(&mut self, item: &ItemUse, reexports: &mut BTreeMap<(Module, String), Module>) {
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

    /// A path from the root of the crate; none: it is of another crate, or of this file.
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
        // One inside of a function.
        self.take_use(item, &mut BTreeMap::new());
    }
}

/// The paths of a `use`, with the name that each is known by.
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

/// Every source file with its module's path; `lib.rs`, `main.rs` and `mod.rs` are those of their folder.
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
