//! The draw of held-out rows, as numpy makes it.

use crate::mt19937::Mt19937;

/// `count` of `n` rows, drawn as `numpy.random.RandomState(seed).permutation(n)[:count]` does, which is what pandas'
/// `sample(n=count, random_state=seed)` takes (published validation splits: seed 666). All `n` where `count` is larger.
pub fn held_out(n: usize, count: usize, seed: u32) -> Vec<usize> {
    let mut order = Mt19937::new(seed).permutation(n);
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_is_numpys() {
        // numpy 2.4.6: order = np.random.RandomState(seed).permutation(n); order[:3], order[-3:], (order * np.arange(1, n + 1)).sum()
        for (seed, n, first, last, sum) in [
            (0, 9537, [1842, 1824, 8095], [4859, 3264, 2732], 216_363_959_962),
            (0, 3570, [1014, 1846, 1632], [1653, 2607, 2732], 11_465_059_268),
            (0, 10, [2, 8, 4], [3, 0, 5], 230),
            (1, 9537, [3618, 4247, 9245], [905, 5192, 235], 216_912_299_351),
            (1, 3570, [2501, 2782, 605], [1096, 235, 1061], 11_436_666_541),
            (1, 10, [2, 9, 6], [7, 8, 5], 257),
            (666, 9537, [8307, 6647, 1225], [2878, 7597, 6380], 217_233_334_075),
            (666, 3570, [3082, 2192, 1375], [3501, 1922, 2284], 11_353_616_899),
            (666, 10, [5, 7, 0], [1, 6, 2], 232),
            (u32::MAX, 9537, [5331, 2071, 8791], [506, 4310, 290], 216_150_667_387),
            (u32::MAX, 3570, [3275, 1126, 1611], [3084, 290, 2467], 11_300_554_111),
            (u32::MAX, 10, [6, 9, 5], [4, 2, 3], 212),
        ] {
            let order = held_out(n, n, seed);
            assert_eq!((&order[..3], &order[n - 3..]), (&first[..], &last[..]), "seed {seed}, {n} rows");
            assert_eq!(order.iter().zip(1..).map(|(row, place)| row * place).sum::<usize>(), sum, "seed {seed}, {n} rows");
            assert_eq!(held_out(n, 7, seed), order[..7]);
        }
        assert_eq!(held_out(3, 9, 1).len(), 3);
        assert!(held_out(0, 5, 666).is_empty());
    }
}
