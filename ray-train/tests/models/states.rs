//! The steps of optimisers, compared with the definitions of torch; states of optimisers and models.

use ray_train::model::{Adam, Mlp, Model, Optimizer, Sgd, StateDict};

/// A model with two parameters of these values.
fn model(numbers: [f32; 2]) -> Mlp {
    let mut model = Mlp::new(&[1, 1], 0);
    model.update(&mut |at, parameter| parameter[0] = numbers[at]);
    model
}

fn numbers(model: &Mlp) -> [f32; 2] {
    let mut numbers = [0.0; 2];
    model.visit(&mut |at, parameter| numbers[at] = parameter[0]);
    numbers
}

/// The parameters after three steps with the gradients (0.5, -1), (0.25, 2) and (-1, 0).
fn steps(optimizer: &mut dyn Optimizer) -> [f32; 2] {
    let mut model = model([1.0, -2.0]);
    for gradient in [[0.5, -1.0], [0.25, 2.0], [-1.0, 0.0]] {
        model.gradients_mut().record(|buffer, _| buffer.copy_from_slice(&gradient)).unwrap();
        optimizer.step(&mut model).unwrap();
    }
    numbers(&model)
}

/// The definitions are computed in f64.
#[test]
fn steps_match_the_definitions() {
    let close = |found: [f32; 2], expected: [f64; 2]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{found:?} and {expected:?}");
    };
    let gradients = [[0.5, -1.0], [0.25, 2.0], [-1.0, 0.0]];
    let run = |mut step: Box<dyn FnMut(usize, f64, f64) -> f64>| {
        let mut numbers = [1.0, -2.0f64];
        for gradient in gradients {
            for (at, number) in numbers.iter_mut().enumerate() {
                *number = step(at, *number, gradient[at]);
            }
        }
        numbers
    };
    close(steps(&mut Sgd::new(0.1)), run(Box::new(|_, number, gradient| number - 0.1 * gradient)));
    close(
        steps(&mut Sgd::new(0.1).weight_decay(0.5)),
        run(Box::new(|_, number, gradient| number - 0.1 * (gradient + 0.5 * number))),
    );
    for nesterov in [false, true] {
        let mut kept = [0.0; 2];
        let expected = run(Box::new(move |at, number, gradient| {
            kept[at] = 0.9 * kept[at] + gradient;
            number - 0.1 * if nesterov { gradient + 0.9 * kept[at] } else { kept[at] }
        }));
        close(steps(&mut Sgd::new(0.1).momentum(0.9).nesterov(nesterov)), expected);
    }
    let (mut mean, mut square, mut count) = ([0.0; 2], [0.0; 2], [0; 2]);
    let expected = run(Box::new(move |at, number, gradient| {
        let gradient = gradient + 0.1 * number;
        count[at] += 1;
        mean[at] = 0.8 * mean[at] + 0.2 * gradient;
        square[at] = 0.9 * square[at] + 0.1 * gradient * gradient;
        let (mean, square) = (mean[at] / (1.0 - 0.8f64.powi(count[at])), square[at] / (1.0 - 0.9f64.powi(count[at])));
        number - 0.01 * mean / (square.sqrt() + 1e-3)
    }));
    close(steps(&mut Adam::new(0.01).betas(0.8, 0.9).epsilon(1e-3).weight_decay(0.1)), expected);
}

#[test]
fn a_state_that_does_not_match_is_refused_and_changes_nothing() {
    let mut model = Mlp::new(&[3, 4, 2], 1);
    let text = |error: ray::Result<()>| error.unwrap_err().to_string();
    model.train(&[1.0, 2.0, 3.0], &[0]).unwrap();
    let mut adam = Adam::new(0.1);
    adam.step(&mut model).unwrap();
    let before = (model.state_dict(), adam.state_dict(&model));

    let other = Mlp::new(&[3, 5, 2], 1);
    let error = text(model.load_state_dict(&other.state_dict()));
    assert!(error.contains("`fc1.weight` has the shape [5, 3], expected [4, 3]"), "{error}");
    let error = text(model.load_state_dict(&before.1));
    assert!(error.contains("missing: `fc1.weight`") && error.contains("unknown: `fc1.bias.exp_avg`"), "{error}");

    let mut momentum = Sgd::new(0.1).momentum(0.9);
    let error = text(momentum.load_state_dict(&before.1, &model));
    assert!(error.contains("the state of Adam, and the optimiser is Sgd"), "{error}");
    let error = text(adam.load_state_dict(&before.0, &model));
    assert!(error.contains("not the state of an optimiser"), "{error}");
    let error = text(momentum.load_state_dict(&Sgd::new(0.1).state_dict(&model), &model));
    assert!(error.contains("missing: `fc1.weight.momentum_buffer`"), "{error}");
    let error = text(Sgd::new(0.1).load_state_dict(&momentum.state_dict(&model), &model));
    assert!(error.contains("unknown: `fc1.bias.momentum_buffer`"), "{error}");
    let error = text(adam.load_state_dict(&Adam::new(0.1).state_dict(&other), &model));
    assert!(error.contains("`fc1.weight.exp_avg` has the shape [5, 3], expected [4, 3]"), "{error}");
    for step in [f64::NAN, -1.0, 0.5, 2.0] {
        let mut state = before.1.clone();
        state.insert_number("fc2.bias.step", step);
        let error = text(adam.load_state_dict(&state, &model));
        assert!(error.contains("fc2.bias.step"), "{error}");
    }
    assert!(before == (model.state_dict(), adam.state_dict(&model)));

    let mut another = Mlp::new(&[3, 5, 2], 1);
    another.train(&[1.0, 2.0, 3.0], &[0]).unwrap();
    assert!(text(adam.step(&mut another)).contains("make one optimiser for each model"));
}

#[test]
fn nan_survives() {
    let mut first = model([f32::NAN, 1.0]);
    let mut optimizer = Adam::new(0.1);
    first.train(&[1.0], &[0]).unwrap();
    first.gradients_mut().as_mut_slice()[0] = f32::NAN;
    optimizer.step(&mut first).unwrap();
    let folder = tempfile::tempdir().unwrap();
    first.state_dict().save(folder.path().join("model")).unwrap();
    optimizer.state_dict(&first).save(folder.path().join("optimizer")).unwrap();

    let mut resumed = model([0.0, 0.0]);
    resumed.load_state_dict(&StateDict::load(folder.path().join("model")).unwrap()).unwrap();
    assert!(numbers(&resumed)[0].is_nan());
    let mut again = Adam::new(0.1);
    again.load_state_dict(&StateDict::load(folder.path().join("optimizer")).unwrap(), &resumed).unwrap();
    assert!(again.state_dict(&resumed) == optimizer.state_dict(&first));
}

#[test]
fn nesterov_needs_momentum() {
    let mut model = Mlp::new(&[2, 3], 0);
    model.train(&[1.0, 2.0], &[0]).unwrap();
    let error = Sgd::new(0.1).nesterov(true).step(&mut model).unwrap_err().to_string();
    assert!(error.contains(".momentum(0.9)"), "{error}");
}
