//! A shared value is cloned, so its type must be `Clone`; otherwise the value can be viewed in place.

use ray::remote;

#[derive(serde::Serialize, serde::Deserialize)]
struct Model {
    weights: Vec<f64>,
}

#[remote]
fn train(n: usize) -> Model {
    Model { weights: vec![0.0; n] }
}

#[remote]
fn predict(model: Model) -> f64 {
    model.weights.len() as f64
}

#[remote(retry_exceptions)]
fn retried(model: Model) -> f64 {
    model.weights.len() as f64
}

#[remote(max_restarts = 3, max_task_retries = 2)]
struct Server {
    model: Model,
}

#[remote]
impl Server {
    pub fn new(model: Model) -> Self {
        Server { model }
    }

    pub fn swap(&mut self, model: Model) {
        self.model = model;
    }
}

#[remote]
struct Patient;

#[remote]
impl Patient {
    pub fn new(model: Model) -> Self {
        let _ = model;
        Patient
    }

    #[method(max_task_retries = 1)]
    pub fn again(&self, model: Model) {
        let _ = model;
    }

    pub fn once(&self, model: Model) {
        let _ = model;
    }
}

fn main() {
    let model = train.remote(3);
    let _ = predict.remote(&model);
    let _ = ray::get(&model);
}
