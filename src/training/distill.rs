//! A decoder that reads through an encoder learns from itself: as its teacher, it reads the chunks in its own window.
//!
//! `weight · KL(teacher || student)` beside the loss of the text: CEPED (Yen, Gao and Chen 2024, arXiv 2402.16617), for
//! decoders that must go on answering as they were tuned to. Teacher and student are the same frozen weights, so that
//! what the teacher says is a function of those weights and of the step: it is read again at each step instead of being
//! stored before the first one, and a run that was cut and resumed hears the same to the bit.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use super::context::TeacherConfig;
use crate::layers::ForwardContext;
use crate::model::{Chunks, Decoder, ModelConfig};

/// Of a sequence of `t` tokens with `k` chunks of `c` beside it: the tokens that a teacher with this window reads, and those
/// of the sequence among them. The sequence's first token opens it; for the teacher the last chunk stands in its place.
fn fitting([t, k, c]: [usize; 3], window: usize) -> [usize; 2] {
    let read = (k * c + t - 1).min(window);
    [read, read.saturating_sub(k * c)]
}

/// FLOPs of the teacher's part in a training step of one sequence of `t` tokens with `k` chunks of `c` beside it: one forward
/// pass through what the teacher reads, and the student's head once more, forward and backward to its states.
pub fn flops_per_row(model: &ModelConfig, vocab_size: usize, [t, k, c]: [usize; 3], window: usize) -> u64 {
    let [read, shared] = fitting([t, k, c], window);
    let forward = model.flops_per_token(vocab_size, read).exact / 3;
    let head = 2 * (vocab_size * model.d_model) as u64;
    read as u64 * forward + 2 * shared as u64 * head
}

impl TeacherConfig {
    /// The weighted divergence of `decoder` reading `chunks` beside `tokens`, with the states `hidden`, from the same
    /// decoder reading the chunks before `tokens`: `[1]`, nats per token of the sequences that fits the teacher's window.
    /// The teacher reads chunks as they are, also what is hidden from the student.
    ///
    /// # Shapes
    /// `hidden` is `[b, t, d]`, `tokens` `[b, t]`.
    ///
    /// # Panics
    /// If the chunks leave no room in the window.
    pub fn loss(
        &self,
        decoder: &Decoder,
        hidden: Tensor<3>,
        tokens: Tensor<2, Int>,
        chunks: Chunks,
    ) -> Tensor<1> {
        let ([b, t, _], [_, k, c]) = (hidden.dims(), chunks.tokens.dims());
        let [read, shared] = fitting([t, k, c], decoder.seq_len());
        assert!(shared > 0, "{k} chunks of {c} tokens for a teacher that reads {}", decoder.seq_len());
        let row = vec![chunks.tokens.reshape([b, k * c]), tokens.narrow(1, 1, t - 1)];
        let row = Tensor::cat(row, 1).narrow(1, 0, read); // [b, read]
        let taught = decoder.hidden(row, &mut ForwardContext::new()).detach(); // [b, read, d]
        let teacher = logits(decoder, taught.narrow(1, k * c, shared)); // [n, v]
        let student = logits(decoder, hidden.narrow(1, 1, shared)); // [n, v]
        divergence(teacher, student, self.top_k) * self.weight
    }
}

/// `[b, t, d] -> [b t, v]`
fn logits(decoder: &Decoder, hidden: Tensor<3>) -> Tensor<2> {
    hidden.flatten::<2>(0, 1).matmul(decoder.head_weight().transpose())
}

/// `Σ p (ln p − ln q)` over the teacher's `top_k` most probable tokens, mean over sequences, from logits `[n, v]`: `[1]`.
/// What they leave of both distributions is dropped, as in the released code.
fn divergence(teacher: Tensor<2>, student: Tensor<2>, top_k: usize) -> Tensor<1> {
    let [_, v] = teacher.dims();
    let (taught, ids) = log_softmax(teacher, 1).topk_with_indices(top_k.min(v), 1); // [n, top_k]
    let told = log_softmax(student, 1).gather(1, ids); // [n, top_k]
    (taught.clone().exp() * (taught - told)).sum_dim(1).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::variants::{self, T, V};
    use burn::tensor::{Device, TensorData};

    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f32 = 1e-5;

    fn device() -> Device {
        crate::device::open("cpu").unwrap()
    }

    fn rows(values: &[f32], v: usize, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / v, v]), device)
    }

    /// The same in plain sums.
    fn by_hand(teacher: &[f32], student: &[f32], top_k: usize) -> f64 {
        let shares = |logits: &[f32]| -> Vec<f64> {
            let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            logits.iter().map(|&x| f64::from(x).exp() / sum).collect()
        };
        let mut pairs: Vec<(f64, f64)> = shares(teacher).into_iter().zip(shares(student)).collect();
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        pairs[..top_k].iter().map(|(p, q)| p * (p / q).ln()).sum()
    }

    #[test]
    fn the_divergence_is_the_sum_over_the_teachers_most_probable_tokens() {
        let device = device();
        let teacher = [0.3f32, 0.5, 0.2].map(f32::ln);
        let of = |student: &[f32], top_k| {
            divergence(rows(&teacher, 3, &device), rows(student, 3, &device), top_k).into_scalar::<f32>()
        };
        let uniform = [0.0; 3];
        assert!((of(&uniform, 2) - 0.171_125).abs() < ROUNDING, "0.5 ln 1.5 + 0.3 ln 0.9");
        assert!((of(&uniform, 50) - 0.068_960).abs() < ROUNDING, "and 0.2 ln 0.6");
        assert!(of(&teacher, 3).abs() < ROUNDING && of(&teacher, 1).abs() < ROUNDING);
    }

    #[test]
    fn its_gradient_is_that_of_finite_differences() {
        const STEP: f32 = 1e-3;
        let device = device().autodiff();
        let teacher = [0.4, -1.0, 2.0, 0.1, 0.7, 1.5, -0.3, 0.2, -2.0, 0.9];
        let student = [-0.2, 0.6, 1.0, 0.3, -0.8, 0.5, 1.1, -0.4, 0.0, 0.2];
        let logits = rows(&student, 5, &device).require_grad();
        let gradients = divergence(rows(&teacher, 5, &device), logits.clone(), 3).backward();
        let gradient: Vec<f32> = logits.grad(&gradients).unwrap().into_data().iter::<f32>().collect();
        for (i, found) in gradient.into_iter().enumerate() {
            let moved = |by: f32| {
                let mut student = student;
                student[i] += by;
                let row = i / 5 * 5..i / 5 * 5 + 5;
                by_hand(&teacher[row.clone()], &student[row], 3) / 2.0
            };
            let expected = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            assert!((f64::from(found) - expected).abs() < 1e-4, "{i}: {found}, expected {expected}");
        }
    }

    /// Two sequences of three tokens beside two chunks of `c`, and the tokens of the teacher's sequences.
    fn reading(c: usize, device: &Device) -> (Tensor<2, Int>, Chunks, Tensor<2, Int>) {
        let tokens = variants::tokens(device).narrow(1, 0, 3);
        let ids: Vec<i32> = (0..2 * 2 * c).map(|i| (i * 7 + 3) as i32 % V as i32).collect();
        let ids: Tensor<3, Int> = Tensor::from_data(TensorData::new(ids, [2, 2, c]), device);
        let nothing = Tensor::from_data(TensorData::new(vec![false; 4 * c], [2, 2, c]), device);
        let row = Tensor::cat(vec![ids.clone().reshape([2, 2 * c]), tokens.clone().narrow(1, 1, 2)], 1);
        (tokens, Chunks { tokens: ids, hidden: nothing }, row)
    }

    #[test]
    fn who_answers_as_the_teacher_has_nothing_to_learn() {
        let device = device();
        let decoder = variants::base().init(V, T + 4, 3, &device);
        let (tokens, chunks, row) = reading(2, &device);
        let states = decoder.hidden(row, &mut ForwardContext::new()); // [2, 6, d]
        let loss = |hidden| {
            let teacher = TeacherConfig { weight: 3.0, top_k: V };
            teacher.loss(&decoder, hidden, tokens.clone(), chunks.clone()).into_scalar::<f32>()
        };
        assert!(loss(states.clone().narrow(1, 3, 3)).abs() < ROUNDING);
        assert!(loss(states.narrow(1, 2, 3)) > 1e-3, "states of the tokens before");
    }

    #[test]
    fn only_what_fits_the_teachers_window_is_taught() {
        let device = device();
        let window = 5;
        let decoder = variants::base().init(V, window, 3, &device);
        let (tokens, chunks, row) = reading(2, &device);
        let states = decoder.hidden(row.narrow(1, 0, window), &mut ForwardContext::new());
        let beyond = states.clone().narrow(1, 0, 1);
        let hidden = Tensor::cat(vec![states.narrow(1, 3, 2), beyond], 1);
        let loss = TeacherConfig::default().loss(&decoder, hidden, tokens, chunks);
        assert!(loss.into_scalar::<f32>().abs() < ROUNDING);
        assert_eq!(fitting([3, 2, 2], window), [5, 1]);
        assert_eq!(fitting([3, 2, 2], 50), [6, 2]);
    }

    #[test]
    #[should_panic(expected = "2 chunks of 2 tokens for a teacher that reads 4")]
    fn chunks_that_fill_the_window_are_not_taught() {
        let device = device();
        let decoder = variants::base().init(V, 4, 3, &device);
        let (tokens, chunks, row) = reading(2, &device);
        let hidden = decoder.hidden(row.narrow(1, 0, 3), &mut ForwardContext::new());
        TeacherConfig::default().loss(&decoder, hidden, tokens, chunks);
    }
}
