use proc_macro2::TokenStream;
use quote::{quote, ToTokens};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Fields, Ident, ItemStruct, LitBool, LitInt, LitStr, Path, Result, Token, Type};

/// What stands in the parentheses of `#[kind(...)]`.
#[derive(Default)]
struct Arguments {
    name: Option<LitStr>,
    source: Option<LitStr>,
    inputs: Option<Path>,
    outputs: Option<Path>,
    draws: Option<Path>,
    writes: Option<Path>,
    initial: Option<Path>,
    rate: Option<Ident>,
    axes: Option<Ident>,
    gradient: Option<LitBool>,
    seeded: Option<LitBool>,
    chooses: Option<LitBool>,
}

const KEYS: &str = "source, inputs, outputs, draws, writes, initial, rate, axes, gradient, seeded, chooses";

impl Parse for Arguments {
    fn parse(input: ParseStream) -> Result<Arguments> {
        let mut arguments = Arguments { name: Some(input.parse()?), ..Arguments::default() };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "source" => arguments.source = Some(input.parse()?),
                "inputs" => arguments.inputs = Some(input.parse()?),
                "outputs" => arguments.outputs = Some(input.parse()?),
                "draws" => arguments.draws = Some(input.parse()?),
                "writes" => arguments.writes = Some(input.parse()?),
                "initial" => arguments.initial = Some(input.parse()?),
                "rate" => arguments.rate = Some(input.parse()?),
                "axes" => arguments.axes = Some(input.parse()?),
                "gradient" => arguments.gradient = Some(input.parse()?),
                "seeded" => arguments.seeded = Some(input.parse()?),
                "chooses" => arguments.chooses = Some(input.parse()?),
                other => return Err(Error::new(key.span(), format!("`{other}` is none of {KEYS}"))),
            }
        }
        Ok(arguments)
    }
}

/// `#[smoke(8)]` as a word of the schema.
fn smoke(attribute: &Attribute) -> Result<Attribute> {
    if let Ok(most) = attribute.parse_args::<LitInt>() {
        return Ok(syn::parse_quote!(#[schemars(extend("x-smoke" = #most))]));
    }
    match attribute.parse_args::<Ident>() {
        Ok(word) if word == "batch" => Ok(syn::parse_quote!(#[schemars(extend("x-smoke" = "batch"))])),
        _ => Err(Error::new_spanned(attribute, "`#[smoke(N)]`: at most N under --smoke; or `#[smoke(batch)]`, no less than the batch")),
    }
}

pub fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(arguments)?;
    let mut item: ItemStruct = syn::parse2(item)?;
    let name = arguments.name.ok_or_else(|| Error::new_spanned(&item.ident, "a kind has a name: #[kind(\"family/name\", ...)]"))?;
    let Some(source) = arguments.source else {
        return Err(Error::new_spanned(&name, "say where it comes from: source = \"paper, equation\", or \"standard\""));
    };
    if !name.value().contains('/') {
        return Err(Error::new_spanned(&name, "the name of a kind is `family/name`"));
    }
    let mut lengths = Vec::new();
    for field in &mut item.fields {
        let number = matches!(&field.ty, Type::Path(path) if path.path.is_ident("usize"));
        if let (true, Some(ident)) = (number, &field.ident) {
            let text = ident.to_string();
            lengths.push(quote!(#text => ::core::option::Option::Some(self.#ident)));
        }
        for attribute in &mut field.attrs {
            if attribute.path().is_ident("smoke") {
                *attribute = smoke(attribute)?;
            }
        }
    }
    // the settings of another kind, under a name of its own
    let form = match item.fields {
        Fields::Unnamed(_) => quote!(transparent),
        _ => quote!(deny_unknown_fields),
    };
    let none: Path = syn::parse_quote!(plumbing::Nothing);
    let struct_of = |path: Option<Path>| path.unwrap_or_else(|| none.clone());
    let [inputs, outputs, draws, writes, initial] =
        [arguments.inputs, arguments.outputs, arguments.draws, arguments.writes, arguments.initial].map(struct_of);
    let rate = arguments.rate.map_or(quote!(Sample), ToTokens::into_token_stream);
    let axes = arguments.axes.map_or(quote!(Fold), ToTokens::into_token_stream);
    let flag = |given: Option<LitBool>, default: bool| given.map_or(default, |flag| flag.value);
    let (gradient, seeded, chooses) = (flag(arguments.gradient, true), flag(arguments.seeded, false), flag(arguments.chooses, false));
    let ident = &item.ident;
    Ok(quote! {
        #[derive(plumbing::serde::Deserialize, plumbing::schemars::JsonSchema)]
        #[serde(crate = "plumbing::serde", #form)]
        #[schemars(crate = "plumbing::schemars")]
        #item

        #[automatically_derived]
        impl plumbing::Declaration for #ident {
            const NAME: &'static str = #name;
            const SOURCE: &'static str = #source;
            const RATE: plumbing::Rate = plumbing::Rate::#rate;
            const AXES: plumbing::Axes = plumbing::Axes::#axes;
            const GRADIENT: bool = #gradient;
            const SEEDED: bool = #seeded;
            const CHOOSES: bool = #chooses;
            type In<P: plumbing::Plane> = #inputs<P>;
            type Out<P: plumbing::Plane> = #outputs<P>;
            type Draws<P: plumbing::Plane> = #draws<P>;
            type Writes<P: plumbing::Plane> = #writes<P>;
            type Initial<P: plumbing::Plane> = #initial<P>;
            fn length(&self, setting: &str) -> ::core::option::Option<usize> {
                match setting {
                    #(#lengths,)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    })
}
