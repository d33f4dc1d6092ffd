use super::centre::unit;
use super::nearest::in_chunks;
use crate::prelude::*;

/// How features lie on the unit sphere: within videos, which differ by their clips alone, and between them. The table keeps an item axis
/// (`keep = ["clip"]` of the `collect`); rows are brought to unit length. Computed in 64 bits.
#[kind("evaluate/spread", inputs = In, outputs = Out, rate = Stage, axes = None, source = "Wang and Isola 2020, equations 1 and 2; RankMe (Garrido et al. 2023), equation 1; DualVar, figure 4")]
pub struct Spread {
    /// Bins of the histograms, of equal width from -1 to 1.
    #[schemars(range(min = 2, max = 1000))]
    bins: usize,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `clips D` features of each video's clips
    table: P::Table,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// variance within a video: the mean squared distance of its clips from their mean; the mean over videos
    within: P::Scalar,
    /// variance between videos: the mean squared distance of their means from the mean of all
    between: P::Scalar,
    /// alignment: the mean squared distance of two clips of a video
    alignment: P::Scalar,
    /// uniformity: the logarithm of the mean of exp(-2 d^2) over pairs of clips of different videos
    uniformity: P::Scalar,
    /// effective rank: exp of the entropy of the singular values over their sum
    effective_rank: P::Scalar,
    /// `bins` histogram of the cosines of two clips of a video, with sum 1
    within_cosines: P::Whole,
    /// `bins` the same of two clips of different videos
    between_cosines: P::Whole,
}

impl Kind for Spread {}

impl Spread {
    /// How many cosines lie in each bin.
    fn histogram(&self, cosines: &Tensor) -> Tensor {
        let bins = self.bins as i64;
        let bin = ((cosines.flatten(0, -1) + 1.0) * (bins as f64 / 2.0)).floor().clamp(0.0, bins as f64 - 1.0).to_kind(Dtype::Int64);
        bin.bincount::<Tensor>(None, bins).to_kind(Dtype::Double)
    }
}

/// exp of the entropy of the singular values of `[rows, D]`, over their sum.
fn effective_rank(rows: &Tensor) -> Tensor {
    let singular = rows.transpose(0, 1).matmul(rows).linalg_eigvalsh("L").clamp_min(0.0).sqrt();
    let p = &singular / singular.sum(Dtype::Double);
    let terms = &p * p.clamp_min(f64::MIN_POSITIVE).log();
    (-terms.sum(Dtype::Double)).exp()
}

impl BatchKind for Spread {
    fn run(&self, In { table }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let size = table.rows.size();
        let [videos, clips, dim] = <[i64; 3]>::try_from(&size[..]).map_err(|_| anyhow!("rows {size:?} must be [videos, clips, D]"))?;
        ensure!(videos > 1 && clips > 1, "{videos} videos of {clips} clips: at least two of each are needed");
        let all = unit(table.rows.to_dtype(Dtype::Double, false, true).reshape([-1, dim]));
        ensure!(f64::try_from(all.sum(Dtype::Double))?.is_finite(), "the table holds features that are not finite");
        let rows = all.reshape([videos, clips, dim]);
        let square = |x: Tensor| x.square().sum_dim_intlist([-1i64].as_slice(), false, Dtype::Double).mean(Dtype::Double);
        let mean = rows.mean_dim([1i64].as_slice(), true, None);
        let within = square(&rows - &mean);
        let between = square(&mean - mean.mean_dim([0i64].as_slice(), true, None));
        // of two different clips: n / (n - 1) of twice the variance around the mean
        let alignment = &within * (2.0 * clips as f64 / (clips - 1) as f64);
        let upper = Tensor::ones([clips, clips], (Dtype::Bool, all.device())).triu(1);
        let of_pairs = rows.bmm(&rows.transpose(1, 2)).masked_select(&upper.unsqueeze(0).expand([videos, clips, clips], false));
        let video = Tensor::arange(videos, (Dtype::Int64, all.device())).repeat_interleave_self_int(clips, 0, None);
        let mut cosines = Tensor::zeros([self.bins as i64], (Dtype::Double, all.device()));
        let (mut sum, mut count) = (0.0, 0.0);
        in_chunks(&all, &all, |similarity, start, chunk| {
            let others = video.narrow(0, start, chunk).unsqueeze(1).ne_tensor(&video.unsqueeze(0));
            let apart = similarity.masked_select(&others);
            // d^2 = 2 - 2 cos
            sum += f64::try_from(((&apart - 1.0) * 4.0).exp().sum(Dtype::Double))?;
            count += apart.numel() as f64;
            cosines += self.histogram(&apart);
            Ok(())
        })?;
        let share = |counts: Tensor| (&counts / counts.sum(Dtype::Double)).to_kind(Dtype::Float);
        Ok(Out {
            within,
            between,
            alignment,
            uniformity: Tensor::from((sum / count).ln()),
            effective_rank: effective_rank(&all),
            within_cosines: share(self.histogram(&of_pairs)),
            between_cosines: share(cosines),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Outputs};
    use dv_train::exec::batch::Value;

    fn run(rows: Tensor) -> Outputs {
        let kind: Spread = testing::kind("bins = 4");
        let table = Table::new(Sample::numbered(rows.size()[0] as usize), rows, None);
        testing::run_values(&kind, 0, 1, vec![("table", Value::Table(table))]).unwrap()
    }

    #[test]
    fn by_hand() {
        // two videos of two clips: equal clips along x; clips along y and -y
        let rows = Tensor::from_slice(&[2.0f32, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0, -1.0]).reshape([2, 2, 2]);
        let out = run(rows);
        let number = |name: &str| out.tensor(name).double_value(&[]);
        let near = |name: &str, expected: f64| assert!((number(name) - expected).abs() < 1e-12, "{name}: {}", number(name));
        near("within", 0.5);
        near("between", 0.25);
        near("alignment", 2.0);
        // all four pairs of different videos are at right angles: d^2 = 2
        near("uniformity", -4.0);
        // singular values sqrt(2), sqrt(2)
        near("effective_rank", 2.0);
        let list = |name: &str| Vec::<f32>::try_from(out.tensor(name)).unwrap();
        assert_eq!(list("within_cosines"), [0.5, 0.0, 0.0, 0.5]);
        assert_eq!(list("between_cosines"), [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn as_all_pairs_one_by_one() {
        let rows = Tensor::rand([7, 3, 5], tch::kind::FLOAT_CPU) - 0.3;
        let out = run(rows.shallow_clone());
        let unit = |v: usize, c: usize| {
            let x = rows.get(v as i64).get(c as i64).to_kind(Dtype::Double);
            &x / x.norm()
        };
        let (mut aligned, mut pairs, mut uniform, mut others) = (0.0, 0.0, 0.0, 0.0);
        for (i, j) in (0..21).flat_map(|i| (0..21).map(move |j| (i, j))).filter(|(i, j)| i != j) {
            let d = f64::try_from((unit(i / 3, i % 3) - unit(j / 3, j % 3)).square().sum(Dtype::Double)).unwrap();
            if i / 3 == j / 3 {
                (aligned, pairs) = (aligned + d, pairs + 1.0);
            } else {
                (uniform, others) = (uniform + (-2.0 * d).exp(), others + 1.0);
            }
        }
        assert!((out.tensor("alignment").double_value(&[]) - aligned / pairs).abs() < 1e-9);
        assert!((out.tensor("uniformity").double_value(&[]) - (uniform / others).ln()).abs() < 1e-9);
        let rank = out.tensor("effective_rank").double_value(&[]);
        assert!((1.0..=5.0).contains(&rank), "{rank}");
    }
}
