//! `#[kind]` on the settings of a kind, and `#[derive(Ports)]` on the structs of its ports.
//!
//! Both name what they need through the module `plumbing` of the prelude, so that a crate with kinds of its own depends on the crate whose
//! prelude it uses and on no other.

mod kind;
mod ports;

use proc_macro::TokenStream;

/// Declares a kind, on the struct of its settings. The doc comments of the struct and its fields are the user's documentation.
///
/// ```text
/// #[kind("loss/rank", inputs = Series, outputs = Ranks, rate = Batch, axes = None, source = "DualVar, equation 3")]
/// ```
///
/// - the name, `family/name`, as a graph writes it
/// - `source`: the paper and its equation or section; `"standard"` for what needs none
/// - `inputs`, `outputs`, `draws`: structs that derive `Ports`; without it there are none
/// - `writes`, `initial`: of a register, the same
/// - `rate`: the least rate of its outputs, `Sample` without it
/// - `axes`: what becomes of item axes, `Fold` without it
/// - `gradient = false`: none flows back through it
/// - `seeded = true`: it draws what no output shows
/// - `chooses = true`: each sample takes one of its inputs
///
/// A setting's range is declared with `#[schemars(range(min = ..., max = ...))]`; its value under `dv run --smoke` with `#[smoke(N)]`, at most
/// N, or `#[smoke(batch)]`, no less than the batch and otherwise at most 12. In a list it leaves those that are at most N.
#[proc_macro_attribute]
pub fn kind(arguments: TokenStream, item: TokenStream) -> TokenStream {
    kind::expand(arguments.into(), item.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// A choice between words, on an enum without values: a graph writes `top_left` for `TopLeft`. The doc comments are the user's documentation.
#[proc_macro_attribute]
pub fn choice(_: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    quote::quote! {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, plumbing::serde::Deserialize, plumbing::schemars::JsonSchema)]
        #[serde(crate = "plumbing::serde", rename_all = "snake_case")]
        #[schemars(crate = "plumbing::schemars")]
        #item
    }
    .into()
}

/// Ports as the fields of a struct that is generic in the plane, `struct Pair<P: Plane> { ... }`: one struct for what is declared, for
/// values on the host and for tensors.
///
/// The type of a field is one of the plane's, `P::Float`; `Option<P::Float>` of a port that may be left out, `Many<P::Float>` of ports under
/// names that the graph chooses. Its doc comment begins with the shape in backticks, if it has one, and goes on with what it is.
///
/// - `#[counts("classes")]`: an index has as many values as that length
/// - `#[range("frames")]`: an index lies in `0..frames`; a number, a length of the inputs, or a setting
#[proc_macro_derive(Ports, attributes(counts, range))]
pub fn ports(item: TokenStream) -> TokenStream {
    ports::expand(item.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}
