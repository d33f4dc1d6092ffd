//! One picture, JPEG or PNG, to RGB24.

use std::panic::{catch_unwind, AssertUnwindSafe};

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::decode::MAX_PIXELS;

/// Height and width of a picture, whose pixels `rgb` then holds; or why it does not decode. Alpha is dropped, grey is three times the same,
/// 16 bits are cut to 8; how a camera was held is not applied. By the content: an ending does not matter.
pub fn decode(bytes: &[u8], rgb: &mut Vec<u8>) -> Result<(usize, usize), String> {
    let decoded = catch_unwind(AssertUnwindSafe(|| match bytes {
        [0xff, 0xd8, ..] => jpeg(bytes, rgb),
        [0x89, b'P', b'N', b'G', ..] => png(bytes, rgb),
        [] => Err("the file is empty".to_owned()),
        _ => Err("it is neither JPEG nor PNG".to_owned()),
    }));
    // A fault of the decoder, of which there may be more to find with damaged files, is the file's here, and no reason to end a pack.
    decoded.unwrap_or_else(|_| Err("its decoder failed".to_owned()))
}

/// An error where a picture of that size is too large; otherwise `rgb` gets that size.
fn room(height: usize, width: usize, rgb: &mut Vec<u8>) -> Result<(), String> {
    if height.saturating_mul(width) > MAX_PIXELS || height == 0 || width == 0 {
        return Err(format!("{width}x{height} pixels are too large"));
    }
    rgb.resize(height * width * 3, 0);
    Ok(())
}

fn jpeg(bytes: &[u8], rgb: &mut Vec<u8>) -> Result<(usize, usize), String> {
    // Strict: damage is an error, and not made up for by grey.
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(1 << 16).set_max_height(1 << 16);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options.jpeg_set_out_colorspace(ColorSpace::RGB));
    decoder.decode_headers().map_err(|e| said(&e))?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    room(height, width, rgb)?;
    decoder.decode_into(rgb).map_err(|e| said(&e))?;
    Ok((height, width))
}

fn png(bytes: &[u8], rgb: &mut Vec<u8>) -> Result<(usize, usize), String> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|e| said(&e))?;
    if reader.info().is_animated() {
        return Err("it is an animation".to_owned());
    }
    let (height, width) = (reader.info().height as usize, reader.info().width as usize);
    room(height, width, rgb)?;
    let samples = reader.output_color_type().0.samples();
    if samples == 3 {
        reader.next_frame(rgb).map_err(|e| said(&e))?;
    } else {
        let mut pixels = vec![0; height * width * samples];
        reader.next_frame(&mut pixels).map_err(|e| said(&e))?;
        for (pixel, out) in pixels.chunks_exact(samples).zip(rgb.chunks_exact_mut(3)) {
            match pixel {
                [r, g, b, _] => out.copy_from_slice(&[*r, *g, *b]),
                [grey, ..] => out.fill(*grey),
                [] => {}
            }
        }
    }
    reader.finish().map_err(|e| said(&e))?;
    Ok((height, width))
}

/// A decoder's error in one line.
fn said(error: &dyn std::fmt::Display) -> String {
    let text: String = error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    text.trim().to_owned()
}
