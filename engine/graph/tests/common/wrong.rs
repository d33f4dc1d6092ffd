//! Kinds that do not do what they declare, each in the way that its graph asks for.

use dv_graph::draw::Rng;
use dv_graph::kind::*;
use dv_graph::ports::{Field, Given, Holds, Presence, Slots, Taken};
use dv_graph::prelude::*;

/// In what a kind is wrong.
#[choice]
pub enum How {
    /// Its settings are checked with a panic.
    Check,
    /// An output too few.
    Outputs,
    /// Its shape rule panics.
    Rule,
    /// A number runs over.
    Overflow,
    Dropped,
    Pick,
    Source,
    Batch,
    Parameters,
    State,
}

impl How {
    fn fail(self, here: How) {
        assert!(self != here, "deliberately wrong");
    }
}

#[derive(Ports)]
pub struct Clip_<P: Plane> {
    /// `3 T H W` the clips
    clips: P::Pixels,
}

/// One output, which is not given where it is `None`: a struct that derives its ports cannot do that.
pub struct TooFew<P: Plane> {
    clips: Option<P::Float>,
}

impl<P: Plane> dv_graph::ports::Ports<P> for TooFew<P> {
    const FIELDS: &'static [Field] = &[Field {
        name: "clips",
        holds: Holds::Float,
        presence: Presence::Required,
        shape: "3 T H W",
        doc: "the clips",
        counts: None,
        range: None,
        draw: false,
    }];
    fn take(from: &mut Slots<P>) -> Taken<Self> {
        Ok(TooFew { clips: from.optional(0, "clips")? })
    }
    fn give(self, to: &mut Given<P>) {
        if let Some(clips) = self.clips {
            to.required(clips);
        }
    }
}

#[kind("own/wrong", inputs = Clip_, outputs = TooFew, source = "standard")]
pub struct WrongNode {
    how: How,
}
impl Kind for WrongNode {
    fn check(&self, _: &mut SettingFaults) {
        self.how.fail(How::Check);
    }
    fn ports(&self, inputs: Clip_<Shapes>) -> Result<TooFew<Shapes>, PortFault> {
        self.how.fail(How::Rule);
        let mut port = Port::float(inputs.clips.shape);
        if self.how == How::Overflow {
            port.shape[0] = (usize::MAX / std::hint::black_box(1) + port.shape.len()).into();
        }
        Ok(TooFew { clips: (self.how != How::Outputs).then_some(port) })
    }
    fn dropped(&self) -> Vec<String> {
        self.how.fail(How::Dropped);
        Vec::new()
    }
    fn pick(&self, _: &mut Rng, _: &[&str]) -> Option<usize> {
        self.how.fail(How::Pick);
        None
    }
    fn source(&self) -> Option<Source> {
        self.how.fail(How::Source);
        None
    }
    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        self.how.fail(How::Batch);
        None
    }
}

#[derive(Ports)]
pub struct Mapped<P: Plane> {
    /// `3 T H W` the clips
    clips: P::Float,
}

#[kind("own/wrong_model", inputs = Clip_, outputs = Mapped, source = "standard")]
pub struct WrongModel {
    how: How,
}
impl Kind for WrongModel {}
impl WrongModel {
    pub fn sketch(kind: &dyn std::any::Any, inputs: &Inputs) -> Result<Sketched, PortFault> {
        let kind = kind.downcast_ref::<WrongModel>().unwrap();
        sketched(kind, inputs, |_, inputs, _| {
            kind.how.fail(How::Parameters);
            Mapped { clips: inputs.clips }
        })
    }
}

#[kind("own/wrong_register", inputs = Clip_, outputs = Mapped, source = "standard")]
pub struct WrongRegister {
    how: How,
}
impl Kind for WrongRegister {}
impl RegisterDeclaration for WrongRegister {
    type Kept<P: Plane> = Nothing<P>;
    fn state(&self, _: &Nothing<Late>) -> Result<Nothing<States>, PortFault> {
        self.how.fail(How::State);
        Ok(Nothing::default())
    }
    fn outputs(&self, _: &Nothing<Late>) -> Result<Mapped<Shapes>, PortFault> {
        Ok(Mapped { clips: Port::float([3, 4, 16, 16].map(Dim::from)) })
    }
}
