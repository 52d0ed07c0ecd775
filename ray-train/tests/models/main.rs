//! Tests of models through the trainer: compared with a reference in f64 and with each other, interrupted and resumed.

#[cfg(feature = "burn")]
mod dropout;
mod faults;
#[cfg(feature = "burn")]
mod layers;
mod network;
#[path = "../trainer/process.rs"]
mod process;
mod reference;
mod replicas;
mod resume;
mod states;
