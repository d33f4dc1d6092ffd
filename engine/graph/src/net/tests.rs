use super::*;
use crate::kind::Init;

fn names(sketch: &Sketch) -> Vec<&str> {
    sketch.parameters.iter().map(|p| p.name.as_str()).collect()
}

fn read<T>(shape: &[usize], network: impl FnOnce(&mut Sketch, &Shape) -> T) -> Result<(Sketch, T), String> {
    Sketch::of(|net| {
        let x = net.value(shape.to_vec());
        network(net, &x)
    })
}

fn fault<T>(shape: &[usize], network: impl FnOnce(&mut Sketch, &Shape) -> T) -> String {
    read(shape, network).err().expect("a fault")
}

#[test]
fn layers_are_named_below_their_scopes_and_registered_in_the_stated_order() {
    let (sketch, out) = read(&[3, 4, 9, 9], |net, x| {
        net.order(&["block", "stem"]);
        let x = net.conv3d("stem", x, &Conv3d::new(2, [3; 3]).stride([1, 2, 2]).with_bias());
        let x = net.within("block", |net| {
            net.order(&["fc", "inner"]);
            let x = net.within("inner.0", |net| net.conv3d("conv", &x, &Conv3d::new(5, [1; 3])));
            let x = net.mean(&x, &[1, 2, 3]);
            net.linear("fc", &x, &Linear::pointwise(7))
        });
        net.linear("", &x, &Linear::new(2).init(Init::Normal(0.1), Init::Constant(0.0)))
    })
    .unwrap();
    let expected = ["block.fc.weight", "block.fc.bias", "block.inner.0.conv.weight", "stem.weight", "stem.bias", "weight", "bias"];
    assert_eq!((names(&sketch), out.lengths()), (expected.to_vec(), &[2][..]));
    assert_eq!(sketch.parameters[0].shape, [7, 5, 1, 1, 1]);
    let inits: Vec<Init> = [3, 5, 6].into_iter().map(|i| sketch.parameters[i].init).collect();
    assert_eq!(inits, [Init::Uniform(1.0 / 81f64.sqrt()), Init::Normal(0.1), Init::Constant(0.0)]);
}

#[test]
fn a_layer_that_runs_twice_has_its_parameters_once() {
    let twice = |net: &mut Sketch, x: &Shape| [0, 1].map(|_| net.linear("fc", x, &Linear::new(3)));
    let (sketch, _) = read(&[4], twice).unwrap();
    assert_eq!((names(&sketch), sketch.cost.multiply_adds), (vec!["fc.weight", "fc.bias"], 24));
}

#[test]
fn what_several_layers_keep_counts_once() {
    let (sketch, out) = read(&[3, 2, 4, 4], |net, x| {
        let y = net.conv3d("conv", x, &Conv3d::new(5, [3; 3]));
        let y = net.batch_norm("bn", &y);
        let y = net.relu(y);
        let left = net.conv3d("left", &y, &Conv3d::new(1, [1; 3]));
        let right = net.max_pool3d(&y, &MaxPool3d::padded([3; 3], [1; 3]));
        net.concatenate(&[left, right], 0)
    })
    .unwrap();
    assert_eq!(out.lengths(), [6, 2, 4, 4]);
    let (multiply_adds, kept) = (32 * (5 * 3 * 27 + 5), 32 * (3 + 5 + 5));
    assert_eq!(sketch.cost, Cost { multiply_adds, kept, positions: 32 * 5 });
}

#[test]
fn the_first_layer_that_does_not_fit_is_told() {
    let told = fault(&[3, 7, 16, 15], |net, x| {
        net.at_least(x, [8, 16, 16]);
        net.max_pool3d(x, &MaxPool3d::new([9; 3]))
    });
    assert_eq!(told, "7 frames of 16x15 are too few: at least 8 of 16x16 are needed");
    let told = fault(&[3, 1, 4, 4], |net, x| net.max_pool3d(x, &MaxPool3d::new([2; 3])));
    assert_eq!(told, "max pooling of 2x2x2 does not fit into maps of 1x4x4");
    let told = fault(&[3], |net, x| net.conv3d("conv", x, &Conv3d::new(1, [1; 3])));
    assert_eq!(told, "the convolution `conv` takes maps [C, T, H, W]; these have 1 lengths");
    assert!(fault(&[3, 2], |net, x| net.reshape(x, &[5])).contains("cannot become"));
    assert!(fault(&[3, 2], |net, x| net.mean(x, &[2])).contains("axis 2"));
    let sum = |net: &mut Sketch, x: &Shape| {
        let y = net.linear("fc", x, &Linear::new(2));
        net.add(y, x)
    };
    assert_eq!(fault(&[3], sum), "the sum of [2] and [3]");
}
