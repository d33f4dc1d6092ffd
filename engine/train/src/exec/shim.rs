//! Safe wrappers of the C++ shim: what tch does not reach of libtorch.

use anyhow::{bail, Result};
use dv_graph::optimiser::{Adam, Sgd};
use dv_graph::sample::memory::{Buffer, Number};
use std::ffi::{c_char, c_int, c_void, CStr};
use tch::kind::Element;
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

extern "C" {
    fn dv_message() -> *const c_char;
    fn dv_cpu_capability() -> c_int;
    fn dv_fused_sgd(
        parameters: *const *const C_tensor,
        gradients: *const *const C_tensor,
        buffers: *const *const C_tensor,
        n: usize,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        nesterov: c_int,
        first: c_int,
    ) -> c_int;
    fn dv_fused_adam(
        parameters: *const *const C_tensor,
        gradients: *const *const C_tensor,
        means: *const *const C_tensor,
        squares: *const *const C_tensor,
        steps: *const *const C_tensor,
        n: usize,
        lr: f64,
        beta_1: f64,
        beta_2: f64,
        epsilon: f64,
        weight_decay: f64,
        decoupled: c_int,
    ) -> c_int;
    fn dv_tensor_over(
        data: *mut c_void,
        sizes: *const i64,
        n: usize,
        kind: c_int,
        owner: *mut c_void,
        release: unsafe extern "C" fn(*mut c_void),
        out: *mut *mut C_tensor,
    ) -> c_int;
    fn dv_clear_gradients(parameters: *const *const C_tensor, n: usize) -> c_int;
    fn dv_autocast_enter(cuda: c_int) -> c_int;
    fn dv_autocast_leave(cuda: c_int) -> c_int;
}

fn outcome(status: c_int) -> Result<()> {
    if status != 0 {
        bail!("{}", crate::exec::caught::torch_text(&message()));
    }
    Ok(())
}

fn message() -> String {
    // SAFETY: the shim keeps the message as a NUL-ended string of this thread until its next call.
    let text = unsafe { CStr::from_ptr(dv_message()) };
    text.to_string_lossy().into_owned()
}

/// Which of libtorch's kernels this CPU runs (`DEFAULT`, `AVX2`, `AVX512`): others round differently. `ATEN_CPU_CAPABILITY` chooses lesser ones.
pub fn cpu_capability() -> Result<String> {
    // SAFETY: the call reads a constant of the process; exceptions are caught.
    outcome(unsafe { dv_cpu_capability() })?;
    Ok(message())
}

fn pointers(list: &[Tensor]) -> Vec<*const C_tensor> {
    list.iter().map(|t| t.as_ptr()).collect()
}

/// One step of SGD on all parameters at once, in place, with the settings' `lr`. `first`: the buffers hold nothing yet and take the gradient.
pub fn fused_sgd(parameters: &[Tensor], gradients: &[Tensor], buffers: &[Tensor], settings: &Sgd, first: bool) -> Result<()> {
    assert!(parameters.len() == gradients.len() && parameters.len() == buffers.len());
    let (p, g, b) = (pointers(parameters), pointers(gradients), pointers(buffers));
    let Sgd { lr, momentum, weight_decay, nesterov } = *settings;
    // SAFETY: each pointer is an `at::Tensor` that the slices keep alive over the call; the three lists have the same
    // length `n`; the shim catches every exception.
    outcome(unsafe { dv_fused_sgd(p.as_ptr(), g.as_ptr(), b.as_ptr(), p.len(), lr, momentum, weight_decay, nesterov.into(), first.into()) })
}

/// One step of Adam on all parameters at once, in place, with the settings' `lr`; `decoupled`: of AdamW. `state`: the running means of gradients and of their
/// squares, and the numbers of steps so far (float32, 0-d).
pub fn fused_adam(parameters: &[Tensor], gradients: &[Tensor], state: [&[Tensor]; 3], settings: &Adam, decoupled: bool) -> Result<()> {
    assert!([gradients, state[0], state[1], state[2]].iter().all(|list| list.len() == parameters.len()));
    let (p, g, [m, v, t]) = (pointers(parameters), pointers(gradients), state.map(pointers));
    let Adam { lr, beta_1, beta_2, weight_decay, epsilon } = *settings;
    // SAFETY: each pointer is an `at::Tensor` that the slices keep alive over the call; the five lists have the same
    // length `n`; the shim catches every exception.
    outcome(unsafe {
        let [p, g, m, v, t] = [&p, &g, &m, &v, &t].map(Vec::as_ptr);
        dv_fused_adam(p, g, m, v, t, parameters.len(), lr, beta_1, beta_2, epsilon, weight_decay, decoupled.into())
    })
}

/// The numbers of a buffer as a tensor, where they are. The buffer is dropped with the last tensor that shares the memory, be it a view,
/// saved for a backward pass, or in a table.
pub fn tensor_over<T: Number + Element>(buffer: Buffer<T>, shape: &[i64]) -> Result<Tensor> {
    unsafe extern "C" fn release<T: Number>(owner: *mut c_void) {
        // SAFETY: the pointer that `into_raw` gave below, once: libtorch releases a storage once.
        drop(unsafe { Box::from_raw(owner.cast::<Buffer<T>>()) });
    }
    let kind = match T::KIND {
        Kind::Uint8 => 0,
        Kind::Int64 => 4,
        Kind::Float => 6,
        other => bail!("no buffer holds {other:?}"),
    };
    if shape.iter().product::<i64>() != buffer.len() as i64 {
        bail!("{} numbers are not {shape:?}", buffer.len());
    }
    let data = buffer.start().as_ptr().cast();
    let owner = Box::into_raw(Box::new(buffer)).cast();
    let mut out = std::ptr::null_mut();
    // SAFETY: `shape` says how many numbers of that kind lie at `data`, which stays where it is until `owner` is dropped; nothing else has
    // access to them from here on. The shim catches every exception; if there is one, the buffer leaks.
    outcome(unsafe { dv_tensor_over(data, shape.as_ptr(), shape.len(), kind, owner, release::<T>, &mut out) })?;
    // SAFETY: a new `at::Tensor`, which is owned from here on.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// Takes the parameters' gradients away: they are undefined until a backward pass reaches the parameter again.
pub fn clear_gradients<'a>(parameters: impl Iterator<Item = &'a Tensor>) -> Result<()> {
    let pointers: Vec<*const C_tensor> = parameters.map(|t| t.as_ptr()).collect();
    // SAFETY: each pointer is an `at::Tensor` that its owner keeps alive over the call, since the iterator borrows it; the shim only
    // replaces the tensors' gradients and catches every exception.
    outcome(unsafe { dv_clear_gradients(pointers.as_ptr(), pointers.len()) })
}

/// While it lives, models compute in bfloat16 where that is safe.
pub struct Autocast {
    cuda: bool,
}

impl Autocast {
    pub fn bf16(device: Device) -> Result<Autocast> {
        let cuda = device.is_cuda();
        // SAFETY: the call only sets this thread's autocast state; exceptions are caught.
        outcome(unsafe { dv_autocast_enter(cuda as c_int) })?;
        Ok(Autocast { cuda })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: as above; it undoes the one `enter` of this guard.
        let _ = unsafe { dv_autocast_leave(self.cuda as c_int) };
    }
}
