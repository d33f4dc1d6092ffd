//! Rows on the unit sphere, centred as a setting says.

use crate::prelude::*;
use std::collections::HashMap;

/// What rows are centred by.
#[choice]
pub enum Centre {
    /// Each table by its own mean.
    Each,
    /// Not at all.
    None,
    /// Both by the gallery's mean.
    Gallery,
    /// Each row by the mean of its group in its table.
    Group,
}

/// The group of each row of both tables, as numbers that they share: `[N]` each.
pub fn groups(gallery: &Table, query: &Table) -> (Tensor, Tensor) {
    let mut numbers = HashMap::new();
    let mut of = |table: &Table| {
        let mut number = |group: &str| {
            let next = numbers.len() as i64;
            *numbers.entry(group.to_owned()).or_insert(next)
        };
        let list: Vec<i64> = table.samples.iter().map(|sample| number(&sample.group)).collect();
        Tensor::from_slice(&list).to_device(table.rows.device())
    };
    (of(gallery), of(query))
}

/// Rows at length 1, in 64 bits. Changed in place.
pub fn unit(mut x: Tensor) -> Tensor {
    let length = x.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-12);
    x.g_div_(&length)
}

/// A copy of a table's rows, `[N, D]` in 64 bits.
pub fn copied(table: &Table) -> Tensor {
    table.rows.to_dtype(Dtype::Double, false, true).flatten(1, -1)
}

/// Gallery and queries as centred rows of unit length. Copied once each, then changed in place: a gallery may be large. Error: values that
/// are not finite.
pub fn unit_rows(centre: Centre, gallery: &Table, query: &Table) -> Result<(Tensor, Tensor)> {
    let (mut g, mut q) = (copied(gallery), copied(query));
    let mean = |x: &Tensor| x.mean_dim([0i64].as_slice(), true, None);
    match centre {
        Centre::None => {}
        Centre::Each => {
            let means = (mean(&g), mean(&q));
            (g, q) = (g.g_sub_(&means.0), q.g_sub_(&means.1));
        }
        Centre::Gallery => {
            let mean = mean(&g);
            (g, q) = (g.g_sub_(&mean), q.g_sub_(&mean));
        }
        Centre::Group => {
            let (of_gallery, of_query) = groups(gallery, query);
            let centred = |mut x: Tensor, group: &Tensor| {
                let count = group.bincount::<Tensor>(None, 0).to_kind(Dtype::Double).unsqueeze(1);
                let sum = Tensor::zeros([count.size()[0], x.size()[1]], (Dtype::Double, x.device())).index_add(0, group, &x);
                x.g_sub_(&(sum / count).index_select(0, group))
            };
            (g, q) = (centred(g, &of_gallery), centred(q, &of_query));
        }
    }
    let (g, q) = (unit(g), unit(q));
    for (name, rows) in [("gallery", &g), ("query", &q)] {
        // rows of unit length: a sum of finite ones is finite
        ensure!(f64::try_from(rows.sum(Dtype::Double))?.is_finite(), "`{name}` holds features that are not finite");
    }
    Ok((g, q))
}
