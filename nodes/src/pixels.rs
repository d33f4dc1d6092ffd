//! Clips as nodes handle them: `[rows, 3, T, H, W]` bytes or floats on the device, usually with the channels last in memory.

use dv_graph::kind::PortFault;
use dv_graph::port::{Dim, Port};
pub use dv_train::exec::view::{size as device_size, stack_rows};
use tch::{Kind, Tensor};

/// One length of an input's shape, which has to be a number.
pub fn length(port: &Port, name: &str, axis: usize) -> Result<usize, PortFault> {
    match port.shape.get(axis) {
        Some(Dim::Known(n)) => Ok(*n),
        Some(Dim::Symbol(s)) => Err(PortFault::port(name, format!("the length `{s}` is known with the data only"))),
        None => Err(PortFault::port(name, format!("has {} lengths; one more was expected", port.shape.len()))),
    }
}

/// The first of several inputs, all of one type, shape and item axes. `none`: what is said where there are none.
pub fn alike(inputs: &[(String, Port)], none: &str) -> Result<Port, PortFault> {
    let Some((first_name, first)) = inputs.first() else { return Err(PortFault::node(none)) };
    for (name, port) in inputs {
        if (port.ty, &port.shape, &port.axes) != (first.ty, &first.shape, &first.axes) {
            return Err(PortFault::port(name, format!("`{name}` is {port}, but `{first_name}` is {first}")));
        }
    }
    Ok(first.clone())
}

/// Bytes 0..=255 become floats 0..1; floats stay.
pub fn unit_floats(x: &Tensor) -> Tensor {
    match x.kind() {
        Kind::Uint8 => x.to_kind(Kind::Float) / 255.0,
        Kind::Float => x.shallow_clone(),
        _ => x.to_kind(Kind::Float),
    }
}
