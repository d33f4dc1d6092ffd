//! What a file with a kind of the host uses: `use dv_graph::prelude::*;`.

pub use crate::draw::{Rng, Sample};
pub use crate::host::{Array, Clip, Clips, Host, Region, SampleKind, SourceKind, SourceSample, Transform, Video, ViewKind};
pub use crate::kind::{
    Axes, Declaration, HoldOut, Init, Kind, Part as HeldPart, PortFault, Reference, RegisterDeclaration, RowsNeeded, Seen, Source, State,
};
pub use crate::port::{Axis, Dim, Port, Rate, Type};
pub use crate::ports::{derived, Dice, Extent, Extents, Late, Many, Nothing, Plane, Row, Shapes, States};
pub use crate::settings::SettingFaults;
pub use anyhow::{anyhow, bail, ensure, Result};
pub use dv_macros::{choice, kind, Ports};

/// What `#[kind]` and `#[derive(Ports)]` name.
pub mod plumbing {
    pub use crate::kind::{Axes, Declaration};
    pub use crate::port::Rate;
    pub use crate::ports::{Field, Given, Holds, Nothing, Plane, Ports, Presence, Slots, Taken};
    pub use schemars;
    pub use serde;
}
