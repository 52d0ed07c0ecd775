//! Options as they are written in Python. (`retry_exceptions = true` is valid.)

use ray::remote;

#[remote(resources = {"tpu": 1, "big disk": 0.5})]
fn resources() {}

#[remote(label_selector = {"ray.io/zone": "us-west1-b"})]
fn labels() {}

#[remote(runtime_env = {"env_vars": {"A": "1"}})]
fn environment() {}

#[remote(num_cpus = {"CPU": 1})]
fn cpus() {}

#[remote(num_returns = "streaming")]
fn streaming() -> u8 {
    1
}

#[remote(num_returns = "dynamic")]
fn dynamic() -> u8 {
    1
}

#[remote(retry_exceptions = True, max_retries = None)]
fn words() {}

#[remote(retry_exceptions = [IOError])]
fn exceptions() {}

#[remote(retry_exceptions = true)]
fn valid() {}

fn main() {
    let _ = (resources.remote(), labels.remote(), streaming.remote(), words.remote(), valid.remote());
}
