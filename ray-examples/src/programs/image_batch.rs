//! Not in the article: batches of images. Decode, blur and augment are tasks, and references connect them to chains.
//!
//! ```text
//! unzip -> decode -> blur -> augment -> contact_sheet -> image_batch.png
//!       -> decode -> blur -> augment ->
//!       -> ..
//! ```
//!
//! The program waits only for the last result: each task receives the references of the previous tasks and starts when
//! their results are ready. `FASHION_MNIST_DIR` names the folder of the images (gzipped IDX files). Without it, the program
//! draws rings and discs.

use std::env;
use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::time::Instant;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use image::imageops::{self, FilterType};
use image::{GrayImage, ImageError, ImageFormat};
use ray::remote;
use serde::{Deserialize, Serialize};

use crate::report::Report;

const BATCHES: usize = 14;
const BATCH: usize = 64;
/// Images in a row of the contact sheet.
const COLUMNS: usize = 32;
/// The length of the header of an IDX file: a magic number, and the number of images, rows and columns.
const IDX_HEADER: usize = 16;

/// Grey images of one size. `pixels` contains the pixels of the images one after another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Images {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Images {
    fn iter(&self) -> impl Iterator<Item = GrayImage> {
        let size = (self.width * self.height) as usize;
        self.pixels.chunks_exact(size).map(|pixels| {
            GrayImage::from_raw(self.width, self.height, pixels.to_vec()).expect("each chunk has the size of an image")
        })
    }

    fn map(&self, change: impl FnMut(GrayImage) -> GrayImage) -> Self {
        Images { pixels: self.iter().map(change).flat_map(GrayImage::into_raw).collect(), ..*self }
    }
}

#[remote]
fn unzip(file: &[u8]) -> io::Result<Vec<u8>> {
    let mut idx = Vec::new();
    GzDecoder::new(file).read_to_end(&mut idx)?;
    Ok(idx)
}

#[remote]
fn decode(idx: &[u8], batch: usize) -> Result<Images, String> {
    let number = |at: usize| {
        let bytes = idx.get(4 * at..4 * at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).ok_or("the header of an IDX file has four numbers")
    };
    if number(0)? != 0x803 {
        return Err("not an IDX file of images".into());
    }
    let (height, width) = (number(2)?, number(3)?);
    let size = width as usize * height as usize;
    let start = IDX_HEADER + batch * BATCH * size;
    let pixels = idx.get(start..start + BATCH * size).ok_or("the file has too few images for this batch")?;
    Ok(Images { width, height, pixels: pixels.to_vec() })
}

#[remote]
fn blur(images: &Images, sigma: f32) -> Images {
    images.map(|image| imageops::blur(&image, sigma))
}

/// Mirrors half of the images and enlarges a part of each, as programs do before training.
#[remote]
fn augment(images: &Images, seed: u64) -> Images {
    let mut random = fastrand::Rng::with_seed(seed);
    images.map(|image| {
        let (width, height) = image.dimensions();
        let image = if random.bool() { imageops::flip_horizontal(&image) } else { image };
        let (left, top) = (random.u32(0..=width / 8), random.u32(0..=height / 8));
        let part = imageops::crop_imm(&image, left, top, width * 7 / 8, height * 7 / 8);
        imageops::resize(&part.to_image(), width, height, FilterType::Triangle)
    })
}

#[remote]
fn contact_sheet(batches: &[Images]) -> Result<Vec<u8>, ImageError> {
    let (width, height) = batches.first().map_or((0, 0), |batch| (batch.width, batch.height));
    let rows = (batches.len() * BATCH).div_ceil(COLUMNS);
    let mut sheet = GrayImage::new(width * COLUMNS as u32, height * rows as u32);
    for (at, image) in batches.iter().flat_map(Images::iter).enumerate() {
        let (column, row) = (at % COLUMNS, at / COLUMNS);
        let (x, y) = (column as i64 * i64::from(width), row as i64 * i64::from(height));
        imageops::replace(&mut sheet, &image, x, y);
    }
    let mut png = Vec::new();
    sheet.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    Ok(png)
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let file = match env::var_os("FASHION_MNIST_DIR") {
        Some(folder) => {
            let file = Path::new(&folder).join("t10k-images-idx3-ubyte.gz");
            println!("images from {}", file.display());
            fs::read(file).map_err(ray::Error::other)?
        }
        None => {
            println!("generated images, since FASHION_MNIST_DIR is not set");
            generated().map_err(ray::Error::other)?
        }
    };

    let start = Instant::now();
    ray::init()?;
    let idx = unzip.remote(file.clone());
    let batches: Vec<_> = (0..BATCHES)
        .map(|batch| {
            let decoded = decode.remote(&idx, batch);
            let blurred = blur.remote(&decoded, 0.8);
            augment.remote(&blurred, batch as u64)
        })
        .collect();
    let sheet = ray::get(contact_sheet.remote(batches))?;
    let duration = start.elapsed();

    // Plain calls of the same functions, one after the other, must give the same bytes.
    let start = Instant::now();
    let plain = by_plain_calls(&file).map_err(ray::Error::other)?;
    let one_by_one = start.elapsed();
    assert_eq!(sheet, plain, "tasks and plain calls give the same sheet");
    let image = image::load_from_memory(&sheet).map_err(ray::Error::other)?;
    assert_eq!((image.width(), image.height()), (896, 784));

    let path = env::current_exe().map_err(ray::Error::other)?.with_file_name("image_batch.png");
    fs::write(&path, sheet).map_err(ray::Error::other)?;
    println!("wrote {} blurred and augmented images to {}", BATCHES * BATCH, path.display());
    report.took("tasks", duration);
    report.took("plain calls", one_by_one);
    ray::shutdown()
}

fn by_plain_calls(file: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let idx = unzip(file)?;
    let batches: Result<Vec<Images>, String> =
        (0..BATCHES).map(|batch| Ok(augment(&blur(&decode(&idx, batch)?, 0.8), batch as u64))).collect();
    Ok(contact_sheet(&batches?)?)
}

/// A file of rings and discs in the format of Fashion-MNIST.
fn generated() -> io::Result<Vec<u8>> {
    let count = BATCHES * BATCH;
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    for number in [0x803, count as u32, 28, 28] {
        file.write_all(&number.to_be_bytes())?;
    }
    for image in 0..count {
        let outer = 4.0 + (image % 10) as f32;
        let inner = outer * (image % 7) as f32 / 8.0;
        let shape = GrayImage::from_fn(28, 28, |x, y| {
            let distance = (x as f32 - 11.5).hypot(y as f32 - 13.5);
            image::Luma([if (inner..outer).contains(&distance) { 255 } else { 0 }])
        });
        file.write_all(&shape)?;
    }
    file.finish()
}
