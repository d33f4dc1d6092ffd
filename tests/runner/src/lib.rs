//! Cases of the parity kit, run through dv as `tests/parity/map.toml` says.

pub mod case;
pub mod expression;
pub mod function;
pub mod generate;
pub mod jitter;
pub mod map;
pub mod numbered;
pub mod probe;
pub mod run;
pub mod tensor;
