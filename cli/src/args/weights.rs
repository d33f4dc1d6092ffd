//! The command line of `dv import` and `dv export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct Import {
    /// The checkpoint, in any form that torch.save has written
    #[arg(value_name = "CKPT")]
    pub checkpoint: PathBuf,
    /// The code that wrote it: where its state dict lies, and that `module.` is taken off the names [default: found, names as they are]
    #[arg(long, value_enum, value_name = "CODE")]
    pub from: Option<From>,
    /// The key of the state dict within the checkpoint, with dots between nested keys [default: found]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// The file to write
    #[arg(long, value_name = "X.safetensors")]
    pub out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// IIC: the state dict lies under `model`
    Iic,
    /// DualVar: under `state_dict`
    Dualvar,
    /// CoCLR: under `state_dict`
    Coclr,
    /// torchvision: the state dict itself
    Torchvision,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The run's folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The stage whose last checkpoint is written
    #[arg(long, value_name = "NAME")]
    pub stage: String,
    /// Only this model of the stage; its tensors keep the names that they have in it [default: all models, under the graph's `names`]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Put the weights where this code looks for them, under the graph's `names`
    #[arg(long, value_enum, value_name = "CODE")]
    pub like: Option<Like>,
    /// The file to write: .safetensors, or .pth, .pt or .pth.tar for torch
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Like {
    /// IIC: a dictionary with `model` and `epoch`, the encoder at the root
    Iic,
    /// DualVar: a dictionary with `state_dict` and `epoch`, names beginning with `module.`
    Dualvar,
}
