//! What access costs each request: the look-up of a pump token, from the header's text to the principal. A post of one
//! reading has one look-up.
//!
//! ```text
//! cargo bench -p volute-access
//! ```

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use volute_access::{Credential, NewToken, Permission, UserDirectory};

fn lookup(criterion: &mut Criterion) {
    let mut directory = UserDirectory::default();
    let mut texts = Vec::new();
    for number in 0..1_000 {
        let Ok(name) = format!("gateway-{number}").parse() else { continue };
        let pumps = (0..10).filter_map(|pump| format!("P-{number}-{pump}").parse().ok()).collect();
        let new = NewToken { name, pumps, register: false, expires_ms: None, added_by: "uid 0".into() };
        let Ok((change, token)) = directory.plan_add_token(new, 0) else { continue };
        directory.apply(change);
        texts.push(token.reveal());
    }
    let mut next = texts.iter().cycle();
    criterion.bench_function("token to principal, 1,000 tokens", |bench| {
        bench.iter(|| {
            let text = next.next().map(String::as_str).unwrap_or_default();
            let principal = Credential::parse(text).and_then(|token| directory.token(&token, 1).ok());
            black_box(principal.is_some_and(|principal| principal.may(Permission::Ingest)))
        });
    });
}

criterion_group!(benches, lookup);
criterion_main!(benches);
