//! Parses the crate's sources into what the comparison needs: records, constants, callbacks,
//! imports and type aliases.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Item, Lit, LitStr, Meta, ReturnType, Token, Type};

/// A Rust type, as far as declarations of C need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RustType {
    Named(String),
    Pointer {
        target: Box<RustType>,
        mutable: bool,
    },
    Array(Box<RustType>, usize),
    /// `Option` of a function pointer.
    Nullable(Box<RustType>),
    Never,
    Unit,
}

impl fmt::Display for RustType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Pointer {
                target,
                mutable: true,
            } => write!(f, "*mut {target}"),
            Self::Pointer {
                target,
                mutable: false,
            } => write!(f, "*const {target}"),
            Self::Array(element, count) => write!(f, "[{element}; {count}]"),
            Self::Nullable(inner) => write!(f, "Option<{inner}>"),
            Self::Never => f.write_str("!"),
            Self::Unit => f.write_str("()"),
        }
    }
}

/// A `repr(C)` struct or union.
pub(crate) struct RustRecord {
    pub(crate) name: String,
    /// `RECORD.path` of the place that an anonymous C struct has in its record.
    pub(crate) place: Option<String>,
    pub(crate) fields: Vec<RustField>,
}

/// A public field.
pub(crate) struct RustField {
    pub(crate) name: String,
    pub(crate) ty: RustType,
    /// C names, where the field's own name is not the C name.
    pub(crate) aliases: Vec<String>,
}

/// A public constant.
pub(crate) struct RustConstant {
    pub(crate) name: String,
    pub(crate) ty: RustType,
}

/// A callback type or an imported function.
pub(crate) struct RustFunction {
    pub(crate) name: String,
    pub(crate) parameters: Vec<RustType>,
    pub(crate) returns: RustType,
}

/// Everything that the sources declare.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) records: Vec<RustRecord>,
    pub(crate) constants: Vec<RustConstant>,
    pub(crate) callbacks: Vec<RustFunction>,
    pub(crate) imports: Vec<RustFunction>,
    pub(crate) aliases: BTreeMap<String, RustType>,
}

impl Source {
    /// Parses every `.rs` file of `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let mut paths = fs::read_dir(folder)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.path()))
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
        paths.sort();

        let mut source = Self::default();
        for path in paths {
            let fault = |error: String| format!("{}: {error}", path.display());
            let text = fs::read_to_string(&path).map_err(|error| fault(error.to_string()))?;
            source.parse(&text).map_err(fault)?;
        }
        Ok(source)
    }

    /// Adds the declarations of one file.
    pub(crate) fn parse(&mut self, text: &str) -> Result<(), String> {
        let file = syn::parse_file(text).map_err(|error| error.to_string())?;
        for item in file.items {
            self.item(item)?;
        }
        Ok(())
    }

    fn item(&mut self, item: Item) -> Result<(), String> {
        match item {
            Item::Struct(item) => {
                self.record(&item.ident.to_string(), &item.attrs, item.fields.iter())
            }
            Item::Union(item) => self.record(
                &item.ident.to_string(),
                &item.attrs,
                item.fields.named.iter(),
            ),
            Item::Const(item) if item.ident != "_" => {
                let constant = RustConstant {
                    name: item.ident.to_string(),
                    ty: rust_type(&item.ty)?,
                };
                self.constants.push(constant);
                Ok(())
            }
            Item::Type(item) => self.alias(&item.ident.to_string(), &item.ty),
            Item::ForeignMod(module) => module
                .items
                .iter()
                .try_for_each(|import| self.import(import)),
            _ => Ok(()),
        }
    }

    fn record<'f>(
        &mut self,
        name: &str,
        attributes: &[Attribute],
        fields: impl Iterator<Item = &'f syn::Field>,
    ) -> Result<(), String> {
        if !attributes
            .iter()
            .any(|attribute| attribute.path().is_ident("repr"))
        {
            return Err(format!("{name} has no repr"));
        }
        let fields = fields
            .filter(|field| matches!(field.vis, syn::Visibility::Public(_)))
            .map(|field| {
                Ok(RustField {
                    name: field
                        .ident
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    ty: rust_type(&field.ty)?,
                    aliases: doc_aliases(&field.attrs)?,
                })
            })
            .collect::<Result<_, String>>()?;
        let place = doc_aliases(attributes)?.into_iter().next();
        self.records.push(RustRecord {
            name: name.to_owned(),
            place,
            fields,
        });
        Ok(())
    }

    fn alias(&mut self, name: &str, ty: &Type) -> Result<(), String> {
        let Type::BareFn(function) = ty else {
            self.aliases.insert(name.to_owned(), rust_type(ty)?);
            return Ok(());
        };
        let parameters = function.inputs.iter().map(|input| rust_type(&input.ty));
        self.callbacks.push(RustFunction {
            name: name.to_owned(),
            parameters: parameters.collect::<Result<_, _>>()?,
            returns: return_type(&function.output)?,
        });
        Ok(())
    }

    fn import(&mut self, item: &syn::ForeignItem) -> Result<(), String> {
        let syn::ForeignItem::Fn(item) = item else {
            return Err("an extern block declares something else than a function".to_owned());
        };
        let parameters = item.sig.inputs.iter().map(|input| match input {
            syn::FnArg::Typed(input) => rust_type(&input.ty),
            syn::FnArg::Receiver(_) => Err("an import takes self".to_owned()),
        });
        self.imports.push(RustFunction {
            name: item.sig.ident.to_string(),
            parameters: parameters.collect::<Result<_, _>>()?,
            returns: return_type(&item.sig.output)?,
        });
        Ok(())
    }
}

fn return_type(output: &ReturnType) -> Result<RustType, String> {
    match output {
        ReturnType::Default => Ok(RustType::Unit),
        ReturnType::Type(_, ty) => rust_type(ty),
    }
}

fn rust_type(ty: &Type) -> Result<RustType, String> {
    match ty {
        Type::Ptr(pointer) => Ok(RustType::Pointer {
            target: Box::new(rust_type(&pointer.elem)?),
            mutable: pointer.mutability.is_some(),
        }),
        Type::Array(array) => {
            let Expr::Lit(ExprLit {
                lit: Lit::Int(count),
                ..
            }) = &array.len
            else {
                return Err("an array length is not a literal".to_owned());
            };
            let count = count.base10_parse().map_err(|error| error.to_string())?;
            Ok(RustType::Array(Box::new(rust_type(&array.elem)?), count))
        }
        Type::Never(_) => Ok(RustType::Never),
        Type::Path(path) => named_type(path),
        _ => Err("a type is neither a name, a pointer nor an array".to_owned()),
    }
}

fn named_type(path: &syn::TypePath) -> Result<RustType, String> {
    let last = path.path.segments.last().ok_or("empty type path")?;
    let name = last.ident.to_string();
    if name != "Option" {
        return Ok(RustType::Named(name));
    }
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Err("Option without argument".to_owned());
    };
    match arguments.args.first() {
        Some(syn::GenericArgument::Type(inner)) => {
            Ok(RustType::Nullable(Box::new(rust_type(inner)?)))
        }
        _ => Err("Option without type".to_owned()),
    }
}

/// The names in `#[doc(alias = "A")]` and `#[doc(alias("A", "B"))]`.
fn doc_aliases(attributes: &[Attribute]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
    {
        if !matches!(attribute.meta, Meta::List(_)) {
            continue; // A doc comment.
        }
        attribute
            .parse_nested_meta(|meta| {
                if !meta.path.is_ident("alias") {
                    return Ok(());
                }
                if meta.input.peek(Token![=]) {
                    names.push(meta.value()?.parse::<LitStr>()?.value());
                    return Ok(());
                }
                let list;
                syn::parenthesized!(list in meta.input);
                let list = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?;
                names.extend(list.iter().map(LitStr::value));
                Ok(())
            })
            .map_err(|error| error.to_string())?;
    }
    Ok(names)
}
