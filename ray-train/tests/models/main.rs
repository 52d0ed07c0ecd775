//! Models through the trainer: against a reference in f64, against each other, cut off and resumed.

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
