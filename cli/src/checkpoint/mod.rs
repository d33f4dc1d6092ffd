//! PyTorch's checkpoints, without PyTorch: what `torch.save` wrote is read as names and tensors, and nothing in it is executed.
//!
//! [`source`] knows the containers ([`zip`], [`legacy`], [`tar`]), [`pickle`] what lies in them, [`choose`] finds the state dict, [`names`]
//! what its names mean, and [`safetensors`] and [`write`] make files of tensors.

pub mod choose;
pub mod dtype;
mod legacy;
pub mod names;
mod pickle;
pub mod safetensors;
pub mod source;
mod tar;
pub mod tensor;
#[cfg(test)]
mod tests;
pub mod value;
pub mod write;
mod zip;
