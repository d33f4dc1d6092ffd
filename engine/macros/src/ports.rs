use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Fields, GenericArgument, Lit, LitStr, Meta, PathArguments, Result, Type};

/// Names of a plane's types.
const HOLDS: [&str; 9] = ["Video", "Bytes", "Pixels", "Any", "Float", "Index", "Scalar", "Whole", "Table"];

/// A field's type: `P::Float`, or that in `Option` or `Many`.
fn held(ty: &Type) -> Result<(&'static str, &syn::Ident)> {
    let wrong = || Error::new_spanned(ty, format!("a port holds one of P::{}; or that in Option<...> or Many<...>", HOLDS.join(", P::")));
    let Type::Path(path) = ty else { return Err(wrong()) };
    let last = path.path.segments.last().ok_or_else(wrong)?;
    if let PathArguments::AngleBracketed(arguments) = &last.arguments {
        let inner = match arguments.args.first() {
            Some(GenericArgument::Type(inner)) if arguments.args.len() == 1 => inner,
            _ => return Err(wrong()),
        };
        let presence = match last.ident.to_string().as_str() {
            "Option" => "Optional",
            "Many" => "Many",
            _ => return Err(wrong()),
        };
        return match held(inner)? {
            ("Required", holds) => Ok((presence, holds)),
            _ => Err(wrong()),
        };
    }
    if path.path.segments.len() != 2 || !HOLDS.iter().any(|name| last.ident == name) {
        return Err(wrong());
    }
    Ok(("Required", &last.ident))
}

/// The text of doc comments, as one paragraph.
pub fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn text(attributes: &[Attribute], name: &str) -> Result<TokenStream> {
    match attributes.iter().find(|attribute| attribute.path().is_ident(name)) {
        None => Ok(quote!(::core::option::Option::None)),
        Some(attribute) => {
            let text: LitStr = attribute.parse_args()?;
            Ok(quote!(::core::option::Option::Some(#text)))
        }
    }
}

pub fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let form = || Error::new_spanned(&input.ident, format!("ports are `struct {}<P: Plane>` with named fields", input.ident));
    let Data::Struct(data) = &input.data else { return Err(form()) };
    let Fields::Named(fields) = &data.fields else { return Err(form()) };
    let mut parameters = input.generics.type_params();
    let (Some(plane), None) = (parameters.next(), parameters.next()) else { return Err(form()) };
    let (plane, name) = (&plane.ident, &input.ident);
    let (mut declared, mut taken, mut given, mut undocumented) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, field) in fields.named.iter().enumerate() {
        let Some(ident) = &field.ident else { return Err(form()) };
        let (presence, holds) = held(&field.ty)?;
        let doc = documentation(&field.attrs);
        let (shape, doc) = match doc.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
            Some((shape, doc)) => (shape.to_owned(), doc.trim().to_owned()),
            None => (String::new(), doc),
        };
        if doc.is_empty() {
            let message = format!("the port `{ident}` has no doc comment: its shape in backticks, then what it is");
            undocumented.push(Error::new_spanned(ident, message).to_compile_error());
        }
        let (counts, range) = (text(&field.attrs, "counts")?, text(&field.attrs, "range")?);
        let port = ident.to_string();
        let port = port.strip_prefix("r#").unwrap_or(&port);
        let presence_of = syn::Ident::new(presence, ident.span());
        declared.push(quote!(plumbing::Field {
            name: #port,
            holds: plumbing::Holds::#holds,
            presence: plumbing::Presence::#presence_of,
            shape: #shape,
            doc: #doc,
            counts: #counts,
            range: #range,
            draw: false,
        }));
        let way = syn::Ident::new(&presence.to_lowercase(), ident.span());
        taken.push(quote!(#ident: from.#way(#place, #port)?));
        given.push(quote!(to.#way(self.#ident)));
    }
    // beside the errors: without it each use of the struct would be one more
    Ok(quote! {
        #(#undocumented)*
        #[automatically_derived]
        impl<#plane: plumbing::Plane> plumbing::Ports<#plane> for #name<#plane> {
            const FIELDS: &'static [plumbing::Field] = &[#(#declared),*];
            fn take(from: &mut plumbing::Slots<#plane>) -> plumbing::Taken<Self> {
                let _ = &from;
                ::core::result::Result::Ok(#name { #(#taken),* })
            }
            fn give(self, to: &mut plumbing::Given<#plane>) {
                let _ = &to;
                #(#given;)*
            }
        }
    })
}
