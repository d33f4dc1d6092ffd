//! The command line of a process that decodes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::times::NO_TIME;
use super::{Ffmpeg, MAX_PIXELS};

/// Containers of video files, and of sound alone so that the reason for those is the right one. Not among them: playlists
/// and scripts, which make ffmpeg open other files, and images and text, which it would show as video.
const FORMATS: &str = "3dostr,4xm,aac,ac3,amr,asf,av1,avi,avs2,avs3,cavsvideo,dirac,dv,evc,flac,flv,gxf,h261,h263,h264,\
    hevc,ivf,live_flv,m4v,matroska,mjpeg,mov,mp3,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,rm,vc1,vvc,wav,wtv,\
    yuv4mpegpipe,gif,apng,c93,cine,dhav,film_cpk,flic,ifv,mv,nsv,nuv,pva,roq,smk,swf,vivo,r3d,bink";

/// The conversion to RGB. The default one is up to two levels off and depends on the processor.
pub const CONVERSION: &str = "scale=flags=bicubic+accurate_rnd+bitexact";

impl Ffmpeg {
    /// Decodes `input`, a name in `folder`: frames to stdout, complaints to stderr, and what [`super::times`] reads to `times`.
    pub(super) fn command(&self, folder: &Path, input: &OsStr, times: Stdio) -> Command {
        let mut command = Command::new(&self.program);
        // The folder is entered, so that no path, which may be longer than a line of ffmpeg's log, gets into it.
        command.current_dir(folder);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning"]);
        command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]);
        command.args(["-threads", "1", "-max_pixels", &MAX_PIXELS.to_string(), "-i"]).arg(input);
        let graph = format!("[0:V:0]split=3[times][a][b];[a]trim=end_frame=1[first];[b]{CONVERSION}[frames]");
        command.args(["-filter_complex_threads", "1", "-filter_complex", &graph]);
        // The pipe is the process's standard input, as the one other file that it is sure to have. This comes before the frames: version 5.1
        // writes outputs in their order, and would otherwise not give a frame's time before the next frame is read.
        command.args(["-map", "[times]", self.passthrough, "passthrough", "-enc_time_base", self.demuxed, "-c:v", "wrapped_avframe"]);
        command.args(["-bsf:v", &format!("setts=dts={NO_TIME}"), "-f", "framecrc", "pipe:0"]).stdin(times);
        command.args(["-map", "[first]", "-c:v", "wrapped_avframe", "-f", "framehash", "-hash", "adler32", "pipe:0"]);
        // PPM: each frame carries its size, which plain rgb24 does not.
        command.args(["-map", "[frames]", self.passthrough, "passthrough", "-pix_fmt", "rgb24", "-c:v", "ppm", "-threads", "1"]);
        command.args(["-f", "image2pipe", "pipe:1"]);
        command.env_remove("FFREPORT").env_remove("AV_LOG_FORCE_COLOR").env("AV_LOG_FORCE_NOCOLOR", "1");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}
