//! The shape rule that follows from the declared shapes.

use super::{slots, struct_of, Field, Holds, Ports, Presence, Shapes, Slot};
use crate::given::PortFault;
use crate::kind::Declaration;
use crate::port::{Axis, Dim, Port};
use std::collections::BTreeMap;

/// Stands in a shape for any number of lengths, at its beginning or its end.
const OPEN: &str = "...";

fn words(field: &Field) -> impl Iterator<Item = &'static str> + Clone {
    field.shape.split_whitespace()
}

/// The ports that came at an input.
fn came(slot: &Slot<Port>) -> Vec<&Port> {
    match slot {
        Slot::Empty => Vec::new(),
        Slot::One(port) => vec![port],
        Slot::Many(list) => list.iter().map(|(_, port)| port).collect(),
    }
}

/// What the open end of a declared shape stands for, and what its names do.
fn split<'p>(field: &Field, port: &'p Port) -> (&'p [Dim], &'p [Dim]) {
    let named = words(field).filter(|w| *w != OPEN).count().min(port.shape.len());
    match words(field).next() == Some(OPEN) {
        true => port.shape.split_at(port.shape.len() - named),
        false => (&port.shape[named..], &port.shape[..named]),
    }
}

/// The lengths that inputs bind to the names in their declared shapes. Of several a number, where one is known.
pub fn lengths(fields: &[Field], inputs: &[Slot<Port>]) -> BTreeMap<&'static str, Dim> {
    let mut bound: BTreeMap<&'static str, Dim> = BTreeMap::new();
    for (field, port) in fields.iter().zip(inputs).flat_map(|(field, slot)| came(slot).into_iter().map(move |port| (field, port))) {
        for (word, dim) in words(field).filter(|w| *w != OPEN).zip(split(field, port).1) {
            let known = bound.get(word);
            if known.is_none_or(|known| known.known().is_none() && dim.known().is_some()) {
                bound.insert(word, dim.clone());
            }
        }
    }
    bound
}

/// The ports of a struct of outputs or draws: its types, and its shapes with the inputs' lengths and the settings for their names. What
/// neither knows stays a name. `...` stands for what it does in the first input that has it; alone, in the first that has it alone. An output
/// of any type has that of the first such input. `clip..` before a shape is an item axis `clip`, of as many items as the setting `clips` says.
pub fn derived<K: Declaration, S: Ports<Shapes>>(kind: &K, inputs: K::In<Shapes>) -> Result<S, PortFault> {
    let length = |setting: &str| kind.length(setting);
    struct_of(untyped(<K::In<Shapes> as Ports<Shapes>>::FIELDS, &slots(inputs), S::FIELDS, &length))
        .map_err(|e| PortFault::node(e.to_string()))
}

/// The rule for all kinds; compiled once.
fn untyped(
    fields: &'static [Field],
    inputs: &[Slot<Port>],
    outputs: &'static [Field],
    setting: &dyn Fn(&str) -> Option<usize>,
) -> Vec<Slot<Port>> {
    let bound = lengths(fields, inputs);
    let dim = |word: &str| match word.parse::<usize>() {
        Ok(n) => Dim::Known(n),
        Err(_) => bound.get(word).cloned().or_else(|| setting(word).map(Dim::Known)).unwrap_or_else(|| Dim::Symbol(word.into())),
    };
    let first = |like: &dyn Fn(&Field) -> bool| {
        let mut found = fields.iter().zip(inputs).filter(|(field, _)| like(field));
        found.find_map(|(field, slot)| came(slot).first().map(|port| (field, (*port).clone())))
    };
    let open = |field: &Field| {
        let alone = if field.shape == OPEN { first(&|f| f.shape == OPEN) } else { None };
        let found = alone.or_else(|| first(&|f| words(f).any(|w| w == OPEN)));
        found.map(|(field, port)| split(field, &port).0.to_vec()).unwrap_or_default()
    };
    let one = |field: &Field| {
        // `clip..`
        let axis = |word: &'static str| word.strip_suffix("..").filter(|_| word != OPEN);
        let counted = |name: &str| Some(Axis::counted(name, setting(&format!("{name}s"))?));
        let axes = words(field).filter_map(axis).filter_map(counted).collect();
        let length = |word: &'static str| if word == OPEN { open(field) } else { vec![dim(word)] };
        let shape: Vec<Dim> = words(field).filter(|w| axis(w).is_none()).flat_map(length).collect();
        let port = match field.holds {
            Holds::Video => Port::video(shape),
            Holds::Bytes => Port::bytes(shape),
            Holds::Pixels | Holds::Any => {
                let ty = first(&|f| f.holds == field.holds).map_or(crate::port::Type::Bytes, |(_, port)| port.ty);
                Port { ty, ..Port::bytes(shape) }
            }
            Holds::Float => Port::float(shape),
            Holds::Index => Port::index(shape),
            Holds::Scalar => Port::scalar(),
            Holds::Whole => Port::whole(crate::port::Type::Float, shape),
            Holds::Table => Port::table(shape),
        };
        let port = Port { axes, ..port };
        match field.range {
            Some(word) => port.with_range(dim(word)),
            None => port,
        }
    };
    outputs.iter().map(|field| if field.presence == Presence::Many { Slot::Empty } else { Slot::One(one(field)) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Type;
    use crate::prelude::*;

    #[derive(Ports)]
    struct Inputs<P: Plane> {
        /// `3 T H W` clips
        clips: P::Pixels,
        /// `T D` features
        features: Option<P::Float>,
        /// `... classes` a row for each
        logits: Option<P::Float>,
        /// `...` anything
        any: Option<P::Any>,
        /// `M` of any number
        many: Many<P::Float>,
    }
    #[derive(Ports)]
    struct Outputs<P: Plane> {
        /// `3 T size 7` a clip of the input's type
        clips: P::Pixels,
        /// `T D K` the lengths of two inputs and one of the data
        float: P::Float,
        /// `classes` as many as the last length of the logits
        index: P::Index,
        /// `...` like the input
        same: P::Any,
        /// `M` of the ports under chosen names
        mean: Option<P::Float>,
        /// a number
        loss: P::Scalar,
        /// `N N` of the batch
        whole: P::Whole,
        /// `D` rows
        table: P::Table,
        /// `3 frames H W` a video
        video: P::Video,
        /// not there
        none: Many<P::Float>,
    }
    #[derive(Ports)]
    struct Drawn<P: Plane> {
        /// `2` of a length of the inputs
        #[range("T")]
        frame: P::Index,
        /// of a setting
        #[range("size")]
        place: P::Index,
        /// of a number
        #[range("5")]
        five: P::Index,
        /// of the data
        #[range("videos")]
        video: P::Index,
        /// `size` numbers
        noise: P::Float,
    }
    #[kind("own/all", inputs = Inputs, outputs = Outputs, draws = Drawn, source = "standard")]
    struct All {
        size: usize,
    }
    impl Kind for All {}

    fn symbol(name: &str) -> Dim {
        Dim::Symbol(name.into())
    }
    fn inputs() -> Inputs<Shapes> {
        let clips = Port::float([3.into(), 8.into(), symbol("H"), 20.into()]);
        Inputs { clips, features: None, logits: None, any: None, many: Vec::new() }
    }
    fn outputs(inputs: Inputs<Shapes>) -> Outputs<Shapes> {
        All { size: 6 }.ports(inputs).unwrap()
    }

    #[test]
    fn lengths_come_from_numbers_inputs_settings_and_the_data() {
        let features = Some(Port::float([8.into(), 128.into()]));
        let out = outputs(Inputs { features, ..inputs() });
        assert_eq!(out.clips, Port::float([3.into(), 8.into(), 6.into(), 7.into()]));
        assert_eq!(out.float, Port::float([8.into(), 128.into(), symbol("K")]));
        assert_eq!(out.table, Port::table([128.into()]));
        assert_eq!(out.video, Port::video([3.into(), symbol("frames"), symbol("H"), 20.into()]));
        assert_eq!((out.loss, out.whole), (Port::scalar(), Port::whole(Type::Float, [symbol("N"), symbol("N")])));
        assert!(out.none.is_empty());
        // an input that is left open binds nothing
        let out = outputs(inputs());
        assert_eq!(out.float, Port::float([8.into(), symbol("D"), symbol("K")]));
    }

    #[test]
    fn a_number_is_worth_more_than_a_name() {
        let clips = Port::bytes([3.into(), symbol("frames"), 4.into(), 4.into()]);
        let features = Some(Port::float([5.into(), symbol("D")]));
        let out = outputs(Inputs { clips, features, ..inputs() });
        assert_eq!(out.float, Port::float([5.into(), symbol("D"), symbol("K")]));
        // of two names the first
        let clips = Port::bytes([3.into(), symbol("frames"), 4.into(), 4.into()]);
        let features = Some(Port::float([symbol("rows"), 2.into()]));
        let out = outputs(Inputs { clips, features, ..inputs() });
        assert_eq!(out.float.shape[0], symbol("frames"));
    }

    #[test]
    fn an_open_shape_is_read_from_its_end_and_passed_on_whole() {
        let logits = |shape: &[usize]| Some(Port::float(shape.iter().copied().map(Dim::from)));
        for shape in [&[9][..], &[4, 9], &[2, 3, 9]] {
            assert_eq!(outputs(Inputs { logits: logits(shape), ..inputs() }).index, Port::index([9.into()]));
        }
        let any = Some(Port::index([2.into(), symbol("rows")]).with_range(5.into()));
        let out = outputs(Inputs { any, ..inputs() });
        assert_eq!(out.same, Port::index([2.into(), symbol("rows")]));
        // of two open inputs that which is open alone
        let any = Some(Port::float([4.into()]));
        assert_eq!(outputs(Inputs { any, logits: logits(&[2, 9]), ..inputs() }).same, Port::float([4.into()]));
        assert_eq!(outputs(inputs()).same.shape, []);
    }

    #[test]
    fn an_output_has_the_type_of_the_input() {
        let clips = Port::bytes([3, 8, 24, 20].map(Dim::from));
        let any = |port: Port| Some(port);
        let out = outputs(Inputs { clips, any: any(Port::float([])), ..inputs() });
        assert_eq!((out.clips.ty, out.same.ty), (Type::Bytes, Type::Float));
        assert_eq!(outputs(inputs()).clips.ty, Type::Float);
    }

    #[test]
    fn ports_under_chosen_names_bind_lengths_too() {
        let many = [symbol("M"), 3.into()].map(|dim| ("m".to_string(), Port::float([dim])));
        assert_eq!(outputs(Inputs { many: many.into(), ..inputs() }).mean, Some(Port::float([3.into()])));
    }

    #[test]
    fn an_index_has_its_range() {
        let drawn = All { size: 6 }.drawn(inputs()).unwrap();
        assert_eq!(drawn.frame, Port::index([2.into()]).with_range(8.into()));
        assert_eq!(drawn.place.range, Some(6.into()));
        assert_eq!(drawn.five.range, Some(5.into()));
        assert_eq!(drawn.video.range, Some(symbol("videos")));
        assert_eq!(drawn.noise, Port::float([6.into()]));
    }

    #[derive(Ports)]
    struct Rows<P: Plane> {
        /// `N ...` rows
        rows: Many<P::Any>,
    }
    #[derive(Ports)]
    struct Kept<P: Plane> {
        /// `size ...` some of them
        rows: P::Any,
        /// `...` one of them
        row: P::Any,
        /// `... N` the other way round
        turned: P::Float,
    }
    #[kind("own/kept", inputs = Rows, outputs = Kept, source = "standard")]
    struct Keep {
        size: usize,
    }
    impl Kind for Keep {}

    #[test]
    fn what_is_open_at_an_input_is_that_of_the_outputs() {
        let port = Port::bytes([9.into(), 4.into(), symbol("D")]);
        let out = Keep { size: 2 }.ports(Rows { rows: vec![("a".into(), port.clone()), ("b".into(), port)] }).unwrap();
        assert_eq!(out.rows, Port::bytes([2.into(), 4.into(), symbol("D")]));
        assert_eq!(out.row, Port::bytes([4.into(), symbol("D")]));
        assert_eq!(out.turned, Port::float([4.into(), symbol("D"), 9.into()]));
    }
}
