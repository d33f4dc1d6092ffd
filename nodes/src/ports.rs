//! Ports that several kinds share.

use crate::prelude::*;

#[derive(Ports)]
pub struct Frames<P: Plane> {
    /// `3 frames H W` the video
    pub frames: P::Video,
}

#[derive(Ports)]
pub struct Pixels<P: Plane> {
    /// `3 T H W` clips
    pub clips: P::Pixels,
}

#[derive(Ports)]
pub struct Same<P: Plane> {
    /// `3 T H W` the clips, of the type that came in
    pub clips: P::Pixels,
}

#[derive(Ports)]
pub struct Square<P: Plane> {
    /// `3 T size size` the clips at that size, of the type that came in
    pub clips: P::Pixels,
}

#[derive(Ports)]
pub struct Floats<P: Plane> {
    /// `3 T H W` the clips as floats
    pub clips: P::Float,
}

#[derive(Ports)]
pub struct Maps<P: Plane> {
    /// `C T H W` feature maps
    pub map: P::Float,
}

#[derive(Ports)]
pub struct Features<P: Plane> {
    /// `C` features
    pub features: P::Float,
}

#[derive(Ports)]
pub struct Logits<P: Plane> {
    /// `classes` one logit for each class
    pub logits: P::Float,
}
