//! The command line of `dv pack`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dv_datasets::Codec;

use super::{count, THREADS};
use crate::value::Size;

#[derive(Debug, Args)]
pub struct Pack {
    /// What is done to the frames
    #[arg(value_enum)]
    pub preset: Preset,
    /// The folder that holds one folder of video files a class (with --splits: what the lists' paths start from)
    #[arg(long, value_name = "DIR")]
    pub videos: PathBuf,
    /// The packed set's own folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What names classes, splits and the videos to pack: a folder of lists, or a CSV file
    ///
    /// A folder holds lists as UCF101 (classInd.txt, trainlist01.txt, ...), HMDB51 (CLASS_test_split1.txt, ...), DualVar (train_split01.csv, ...)
    /// or Kinetics (CSV files with a column youtube_id) has them. Any other CSV file begins with the line path,class,split; a row puts a video
    /// (a path below --videos) into a split. Only what is listed is packed. Videos of one source are a group: by their names where those are
    /// UCF101's (v_CLASS_gNN_cMM.EXT), or by a column group of the CSV file or groups.txt (a path and a group on each line) beside the lists.
    /// docs/videos.md shows each form. [default: a class for each folder right below --videos, one split named all]
    #[arg(long, value_name = "DIR|FILE.csv")]
    pub splits: Option<PathBuf>,
    /// Keep listed videos that are not there as missing rows (Kinetics); without, they are an error before anything is decoded
    #[arg(long, requires = "splits")]
    pub allow_missing: bool,
    /// The frames' height and width
    #[arg(long, value_name = "HxW", required_if_eq("preset", "folder"))]
    pub size: Option<Size>,
    /// How frames are scaled
    #[arg(long, value_enum, required_if_eq("preset", "folder"))]
    pub filter: Option<Filter>,
    /// How frames are stored: rgb (lossless) or yuv420 (4:2:0, about half the bytes) [default: rgb]
    #[arg(long, value_parser = codec)]
    pub codec: Option<Codec>,
    /// Change the set in --out to what the videos and lists are now: only new and changed files are decoded
    ///
    /// A file has changed if its SHA-256 has. Size, filter and codec must be the set's. The set is replaced when the new one is whole.
    #[arg(long)]
    pub update: bool,
    /// From 1 to 1024 [default: one a core]
    #[arg(long, value_name = "N", value_parser = count(THREADS), allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// UCF101 as DualVar's code has it: 171 high, 128 wide, bicubic
    #[value(name = "ucf101")]
    Ucf101,
    /// UCF101 as IIC has it: 128 high, 171 wide, bilinear
    #[value(name = "ucf101_iic")]
    Ucf101Iic,
    /// Any other set: a folder of class folders, or what lists name (--splits); needs --size and --filter
    Folder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Filter {
    Bicubic,
    Bilinear,
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::parse(name).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use clap::Parser;

    #[test]
    fn folder_needs_size_and_filter() {
        let pack = |more: &[&str]| {
            let head = ["dv", "pack", "folder", "--videos", "v", "--out", "o"];
            Cli::try_parse_from(head.iter().chain(more))
        };
        assert!(pack(&[]).is_err());
        assert!(pack(&["--size", "64x64"]).is_err());
        assert!(pack(&["--size", "64x64", "--filter", "bilinear"]).is_ok());
        assert!(pack(&["--size", "64x64", "--filter", "bilinear", "--allow-missing"]).is_err());
        assert!(pack(&["--size", "64x64", "--filter", "bilinear", "--allow-missing", "--splits", "s"]).is_ok());
    }
}
