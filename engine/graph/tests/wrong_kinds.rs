//! Kinds that do not compile, and what rustc says of them: the texts beside the files in `wrong_kinds`.
//!
//! `TRYBUILD=overwrite cargo test --release -p dv-graph --test wrong_kinds` writes the texts anew.

#[test]
fn rustc_names_what_is_wrong_in_a_kind() {
    trybuild::TestCases::new().compile_fail("tests/wrong_kinds/*.rs");
}
