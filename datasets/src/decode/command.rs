//! The command line of a process that decodes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::planes;
use super::times::NO_TIME;
use super::{Ffmpeg, MAX_PIXELS};

/// Containers of video files, and of sound alone so that the reason for those is the right one. Not among them: playlists
/// and scripts, which make ffmpeg open other files, and images and text, which it would show as video.
const FORMATS: &str = "3dostr,4xm,aac,ac3,amr,asf,av1,avi,avs2,avs3,cavsvideo,dirac,dv,evc,flac,flv,gxf,h261,h263,h264,\
    hevc,ivf,live_flv,m4v,matroska,mjpeg,mov,mp3,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,rm,vc1,vvc,wav,wtv,\
    yuv4mpegpipe,gif,apng,c93,cine,dhav,film_cpk,flic,ifv,mv,nsv,nuv,pva,roq,smk,swf,vivo,r3d,bink";

/// The conversion to RGB. The default one is up to two levels off and depends on the processor.
pub const CONVERSION: &str = "scale=flags=bicubic+accurate_rnd+bitexact";

/// How frames come out of ffmpeg. The bytes of RGB that they become are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As decoded, to be converted by [`planes`]: for a third of the time, but not of every file.
    Planes,
    /// Converted by ffmpeg.
    Rgb,
}

impl Ffmpeg {
    /// Decodes `input`, a name in `folder`: frames to stdout, complaints to stderr, and what [`super::times`] reads to `times`.
    pub(super) fn command(&self, way: Way, folder: &Path, input: &OsStr, times: Stdio) -> Command {
        let mut command = Command::new(&self.program);
        // The folder is entered, so that no path, which may be longer than a line of ffmpeg's log, gets into it.
        command.current_dir(folder);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning"]);
        command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]);
        let mut graph = "[a]trim=end_frame=1[first];".to_owned();
        if way == Way::Planes {
            // What changes midway is said in the log then, and not made up for by a conversion that dv would not see.
            command.args(["-reinit_filter", "0"]);
            graph += &format!("[0:V:0]split=4[times][a][b][frames];[b]trim=end_frame=1,{},{CONVERSION}[probe]", planes::pattern());
        } else {
            graph += &format!("[0:V:0]split=3[times][a][b];[b]{CONVERSION}[frames]");
        }
        command.args(["-threads", "1", "-max_pixels", &MAX_PIXELS.to_string(), "-i"]).arg(input);
        command.args(["-filter_complex_threads", "1", "-filter_complex", &graph]);
        // The pipe is the process's standard input, as the one other file that it is sure to have. This comes before the frames: version 5.1
        // writes outputs in their order, and would otherwise not give a frame's time before the next frame is read.
        command.args(["-map", "[times]", self.passthrough, "passthrough", "-enc_time_base", self.demuxed, "-c:v", "wrapped_avframe"]);
        command.args(["-bsf:v", &format!("setts=dts={NO_TIME}"), "-f", "framecrc", "pipe:0"]).stdin(times);
        command.args(["-map", "[first]", "-c:v", "wrapped_avframe", "-f", "framehash", "-hash", "adler32", "pipe:0"]);
        let ppm = ["-pix_fmt", "rgb24", "-c:v", "ppm", "-threads", "1", "-f", "image2pipe"];
        if way == Way::Planes {
            command.args(["-map", "[probe]"]).args(ppm).arg("pipe:0");
            command.args(["-map", "[frames]", self.passthrough, "passthrough", "-c:v", "wrapped_avframe", "-f", "yuv4mpegpipe", "pipe:1"]);
        } else {
            // PPM: each frame carries its size, which plain rgb24 does not.
            command.args(["-map", "[frames]", self.passthrough, "passthrough"]).args(ppm).arg("pipe:1");
        }
        command.env_remove("FFREPORT").env_remove("AV_LOG_FORCE_COLOR").env("AV_LOG_FORCE_NOCOLOR", "1");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}
