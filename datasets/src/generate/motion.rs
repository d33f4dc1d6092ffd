//! The twelve motions, as steps of the window that sees the texture.

use super::math::{exp2, turn, Draw};

/// Width of the window at zoom 0, in periods of the texture.
pub const WIDTH: f64 = 0.05;

/// Where the window is. The texture repeats in `place` (1 a period), in `angle` (turns) and, as it is an endless
/// zoom, in the whole part of `zoom` (octaves).
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub place: [f64; 2],
    pub angle: f64,
    pub zoom: f64,
}

/// What the picture's content does from one frame to the next, as the viewer sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Right and down, in widths of the picture.
    pub shift: [f64; 2],
    /// Clockwise, in turns.
    pub turn: f64,
    /// Growing, in octaves.
    pub zoom: f64,
}

impl Window {
    /// Uniform over all places, angles and an octave of zoom.
    pub fn draw(draw: &mut Draw) -> Self {
        Self { place: [draw.unit(), draw.unit()], angle: draw.unit(), zoom: draw.uniform(12.0, 13.0) }
    }

    /// Moves the content by a step. Whatever the step, a uniform window stays uniform: the shift is measured in the
    /// window's own frame, so that what a class does depends neither on place nor on angle nor on zoom.
    pub fn step(&mut self, step: Step) {
        let (cos, sin) = turn(self.angle);
        let scale = WIDTH * exp2(-self.zoom);
        let [x, y] = step.shift;
        let moved = [cos * x - sin * y, sin * x + cos * y];
        for (place, moved) in self.place.iter_mut().zip(moved) {
            *place = (*place - scale * moved).rem_euclid(1.0);
        }
        self.angle = (self.angle - step.turn).rem_euclid(1.0);
        self.zoom += step.zoom;
    }
}

/// A class of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    Down,
    Left,
    OrbitLeft,
    OrbitRight,
    OscillateX,
    OscillateY,
    Right,
    TurnLeft,
    TurnRight,
    Up,
    ZoomIn,
    ZoomOut,
}

/// All classes, in the order of their numbers: by name.
pub const CLASSES: [Motion; 12] = [
    Motion::Down,
    Motion::Left,
    Motion::OrbitLeft,
    Motion::OrbitRight,
    Motion::OscillateX,
    Motion::OscillateY,
    Motion::Right,
    Motion::TurnLeft,
    Motion::TurnRight,
    Motion::Up,
    Motion::ZoomIn,
    Motion::ZoomOut,
];

/// One video's motion: a class with its speed, period and phase drawn.
#[derive(Clone, Copy, Debug)]
pub enum Course {
    Steady(Step),
    /// To and fro along an axis: the shift at its fastest, period in frames, phase in turns.
    Swing {
        peak: [f64; 2],
        period: f64,
        phase: f64,
    },
    /// Round a circle: the speed, its direction's turns a frame (positive is clockwise), phase in turns.
    Circle {
        speed: f64,
        rate: f64,
        phase: f64,
    },
}

impl Motion {
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "Down",
            Self::Left => "Left",
            Self::OrbitLeft => "OrbitLeft",
            Self::OrbitRight => "OrbitRight",
            Self::OscillateX => "OscillateX",
            Self::OscillateY => "OscillateY",
            Self::Right => "Right",
            Self::TurnLeft => "TurnLeft",
            Self::TurnRight => "TurnRight",
            Self::Up => "Up",
            Self::ZoomIn => "ZoomIn",
            Self::ZoomOut => "ZoomOut",
        }
    }

    /// Draws a video's course.
    pub fn draw(self, draw: &mut Draw) -> Course {
        match self {
            Self::Right => shift(draw, 0.0),
            Self::Down => shift(draw, 0.25),
            Self::Left => shift(draw, 0.5),
            Self::Up => shift(draw, 0.75),
            Self::TurnRight => rotate(draw, 1.0),
            Self::TurnLeft => rotate(draw, -1.0),
            Self::ZoomIn => zoom(draw, 1.0),
            Self::ZoomOut => zoom(draw, -1.0),
            Self::OscillateX => swing(draw, [1.0, 0.0]),
            Self::OscillateY => swing(draw, [0.0, 1.0]),
            Self::OrbitRight => circle(draw, 1.0),
            Self::OrbitLeft => circle(draw, -1.0),
        }
    }
}

/// A steady shift towards `direction` (turns, clockwise from the right), give or take a quarter of a radian.
fn shift(draw: &mut Draw, direction: f64) -> Course {
    let speed = draw.log_uniform(0.02, 0.045);
    let spread = 0.26 / std::f64::consts::TAU;
    let (cos, sin) = turn(direction + draw.uniform(-spread, spread));
    Course::Steady(Step { shift: [speed * cos, speed * sin], ..Step::default() })
}

fn rotate(draw: &mut Draw, sign: f64) -> Course {
    let radians = draw.log_uniform(0.06, 0.13);
    Course::Steady(Step { turn: sign * radians / std::f64::consts::TAU, ..Step::default() })
}

fn zoom(draw: &mut Draw, sign: f64) -> Course {
    Course::Steady(Step { zoom: sign * draw.log_uniform(0.05, 0.11), ..Step::default() })
}

fn swing(draw: &mut Draw, axis: [f64; 2]) -> Course {
    let peak = draw.log_uniform(0.03, 0.06);
    Course::Swing { peak: axis.map(|along| along * peak), period: draw.uniform(8.0, 14.0), phase: draw.unit() }
}

fn circle(draw: &mut Draw, sign: f64) -> Course {
    let speed = draw.log_uniform(0.025, 0.05);
    Course::Circle { speed, rate: sign / draw.uniform(10.0, 18.0), phase: draw.unit() }
}

impl Course {
    /// The step from frame `frame` to the next.
    pub fn at(&self, frame: usize) -> Step {
        let frame = frame as f64;
        match *self {
            Self::Steady(step) => step,
            Self::Swing { peak, period, phase } => {
                let (cos, _) = turn(phase + frame / period);
                Step { shift: peak.map(|peak| peak * cos), ..Step::default() }
            }
            Self::Circle { speed, rate, phase } => {
                let (cos, sin) = turn(phase + frame * rate);
                Step { shift: [speed * cos, speed * sin], ..Step::default() }
            }
        }
    }
}
