//! Vectors of f32 at the width of [`level()`], and functions compiled once per width.
//!
//! A kernel is written once, generic over [`Simd`], with [`simd!`]; the machine's width is chosen at run time. A
//! value of a `Simd` type is the proof that the processor has its instructions.

use super::super::level::{Level, level};

/// A vector width: how to do arithmetic on `LANES` numbers at once.
pub trait Simd: Copy + Send + Sync {
    /// The numbers of one register.
    type V: Copy;
    /// How many they are.
    const LANES: usize;
    /// Rows of a tile of a matrix product: as many as the registers hold, two vectors each.
    const ROWS: usize;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// The `LANES` numbers at `p`.
    ///
    /// # Safety
    /// All of them must be readable.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// Writes the `LANES` numbers to `p`.
    ///
    /// # Safety
    /// All of them must be writable.
    unsafe fn store(self, p: *mut f32, v: Self::V);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the processor can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; `b` if either is a NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; `b` if either is a NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// Square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// Where `a < b` the lane of `yes`, else that of `no`.
    fn select_less(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// `c + a b` for lanes that are pairs of bf16: the products of the high halves, then of the low halves.
    fn dot(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * 2^n`, where the low bits of the f32 `n` hold the integer n (as after adding 1.5 * 2^23).
    fn scale(self, a: Self::V, n: Self::V) -> Self::V;

    /// `LANES` numbers of a slice from `i`.
    #[inline(always)]
    fn get(self, x: &[f32], i: usize) -> Self::V {
        // SAFETY: the slice is checked to hold them.
        unsafe { self.load(x[i..i + Self::LANES].as_ptr()) }
    }

    /// Writes `LANES` numbers of a slice from `i`.
    #[inline(always)]
    fn set(self, x: &mut [f32], i: usize, v: Self::V) {
        // SAFETY: the slice is checked to hold them.
        unsafe { self.store(x[i..i + Self::LANES].as_mut_ptr(), v) }
    }

    /// The numbers of a slice shorter than a vector, then `rest`.
    #[inline(always)]
    fn get_tail(self, x: &[f32], rest: f32) -> Self::V {
        let mut lanes = [rest; MAX_LANES];
        lanes[..x.len()].copy_from_slice(x);
        self.get(&lanes, 0)
    }

    /// Writes the first numbers of `v` to a slice shorter than a vector.
    #[inline(always)]
    fn set_tail(self, x: &mut [f32], v: Self::V) {
        let lanes = self.lanes(v);
        x.copy_from_slice(&lanes[..x.len()]);
    }

    /// The numbers of `v`, then zeros.
    #[inline(always)]
    fn lanes(self, v: Self::V) -> [f32; MAX_LANES] {
        let mut lanes = [0.0; MAX_LANES];
        self.set(&mut lanes, 0, v);
        lanes
    }

    /// `v` where the number of the lane, counted from `i`, is below `n`; else `rest`.
    #[inline(always)]
    fn below(self, i: usize, n: usize, v: Self::V, rest: f32) -> Self::V {
        const LANE: [f32; MAX_LANES] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];
        let left = n.saturating_sub(i).min(MAX_LANES) as f32;
        self.select_less(self.get(&LANE, 0), self.splat(left), v, self.splat(rest))
    }

    /// The sum of the lanes, in halves.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut lanes = self.lanes(v);
        let mut width = Self::LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        lanes[0]
    }

    /// The largest lane.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        let lanes = self.lanes(v);
        lanes[1..Self::LANES].iter().fold(lanes[0], |a, &b| if a > b { a } else { b })
    }

    /// e^x to two units in the last place; 0 to rounding below -87, the largest finite power above 88; NaN of NaN.
    #[inline(always)]
    fn exp(self, x: Self::V) -> Self::V {
        const TO_INTEGER: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
        const LN_2_HIGH: f32 = 0.693_359_4; // few bits, so that its product with an integer is exact
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        const TAYLOR: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 5e-1];
        let x = self.max(self.splat(-87.0), self.min(self.splat(88.0), x)); // a NaN on the right passes
        let shifted = self.fma(x, self.splat(std::f32::consts::LOG2_E), self.splat(TO_INTEGER));
        let n = self.sub(shifted, self.splat(TO_INTEGER));
        let r = self.fma(n, self.splat(-LN_2_HIGH), x);
        let r = self.fma(n, self.splat(-LN_2_LOW), r);
        let mut p = self.splat(1.987_569_2e-4);
        for c in TAYLOR {
            p = self.fma(p, r, self.splat(c));
        }
        let p = self.fma(self.mul(p, r), r, r);
        self.scale(self.add(p, self.splat(1.0)), shifted)
    }
}

/// Lanes of the widest vector.
pub const MAX_LANES: usize = 16;

/// Four numbers at a time, in code that every processor runs.
#[derive(Clone, Copy)]
pub struct Portable;

impl Portable {
    #[inline(always)]
    fn each(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
        [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
    }
}

impl Simd for Portable {
    type V = [f32; 4];
    const LANES: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> [f32; 4] {
        // SAFETY: as promised by the caller; an array of f32 needs no more alignment than f32.
        unsafe { *p.cast() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: [f32; 4]) {
        // SAFETY: as promised by the caller; an array of f32 needs no more alignment than f32.
        unsafe { *p.cast() = v }
    }
    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::each(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: [f32; 4]) -> [f32; 4] {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn select_less(self, a: [f32; 4], b: [f32; 4], yes: [f32; 4], no: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i] < b[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn dot(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        let high = |x: [f32; 4]| x.map(|x| f32::from_bits(x.to_bits() & 0xffff_0000));
        let low = |x: [f32; 4]| x.map(|x| f32::from_bits(x.to_bits() << 16));
        self.fma(low(a), low(b), self.fma(high(a), high(b), c))
    }
    #[inline(always)]
    fn scale(self, a: [f32; 4], n: [f32; 4]) -> [f32; 4] {
        Self::each(a, n, |a, n| f32::from_bits(a.to_bits().wrapping_add(n.to_bits() << 23)))
    }
}

#[cfg(target_arch = "aarch64")]
pub use arm::Neon;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Avx512Bf16};

/// A width whose value proves that its instructions are there, and each operation as one of them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! width {
    ($(#[$doc:meta])* $name:ident, $vector:ty, $lanes:literal, $rows:literal,
     $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident,
     $max:ident, $min:ident, $sqrt:ident, $shift:ident, $shift_back:ident, $add_bits:ident, $to_bits:ident,
     $from_bits:ident,
     |$a:ident, $b:ident, $yes:ident, $no:ident| $select:expr) => {
        width!($(#[$doc])* $name, $vector, $lanes, $rows, $load, $store, $splat, $add, $sub, $mul, $div, $fma,
            $max, $min, $sqrt, $shift, $add_bits, $to_bits, $from_bits, |$a, $b, $yes, $no| $select,
            |x, y, z| {
                let high = |x| $from_bits($shift::<16>($shift_back::<16>($to_bits(x))));
                let low = |x| $from_bits($shift::<16>($to_bits(x)));
                $fma(low(x), low(y), $fma(high(x), high(y), z))
            });
    };
    ($(#[$doc:meta])* $name:ident, $vector:ty, $lanes:literal, $rows:literal,
     $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident,
     $max:ident, $min:ident, $sqrt:ident, $shift:ident, $add_bits:ident, $to_bits:ident, $from_bits:ident,
     |$a:ident, $b:ident, $yes:ident, $no:ident| $select:expr,
     |$x:ident, $y:ident, $z:ident| $dot:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name(());

        impl $name {
            /// # Safety
            /// The processor must have the instructions of this width.
            #[inline(always)]
            pub unsafe fn new() -> Self {
                $name(())
            }
        }

        // SAFETY of every block: `self` proves that the instructions are there; pointers as the caller promises.
        impl Simd for $name {
            type V = $vector;
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;

            #[inline(always)]
            fn splat(self, x: f32) -> $vector {
                unsafe { $splat(x) }
            }
            #[inline(always)]
            unsafe fn load(self, p: *const f32) -> $vector {
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut f32, v: $vector) {
                unsafe { $store(p, v) }
            }
            #[inline(always)]
            fn add(self, a: $vector, b: $vector) -> $vector {
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: $vector, b: $vector) -> $vector {
                unsafe { $sub(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: $vector, b: $vector) -> $vector {
                unsafe { $mul(a, b) }
            }
            #[inline(always)]
            fn div(self, a: $vector, b: $vector) -> $vector {
                unsafe { $div(a, b) }
            }
            #[inline(always)]
            fn fma(self, a: $vector, b: $vector, c: $vector) -> $vector {
                unsafe { $fma(a, b, c) }
            }
            #[inline(always)]
            fn max(self, a: $vector, b: $vector) -> $vector {
                unsafe { $max(a, b) }
            }
            #[inline(always)]
            fn min(self, a: $vector, b: $vector) -> $vector {
                unsafe { $min(a, b) }
            }
            #[inline(always)]
            fn sqrt(self, a: $vector) -> $vector {
                unsafe { $sqrt(a) }
            }
            #[inline(always)]
            fn select_less(self, $a: $vector, $b: $vector, $yes: $vector, $no: $vector) -> $vector {
                unsafe { $select }
            }
            #[inline(always)]
            fn dot(self, $x: $vector, $y: $vector, $z: $vector) -> $vector {
                unsafe { $dot }
            }
            #[inline(always)]
            fn scale(self, a: $vector, n: $vector) -> $vector {
                unsafe { $from_bits($add_bits($to_bits(a), $shift::<23>($to_bits(n)))) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Simd;

    width!(
        /// Eight numbers at a time.
        Avx2, __m256, 8, 6,
        _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps,
        _mm256_div_ps, _mm256_fmadd_ps, _mm256_max_ps, _mm256_min_ps, _mm256_sqrt_ps, _mm256_slli_epi32, _mm256_srli_epi32,
        _mm256_add_epi32, _mm256_castps_si256, _mm256_castsi256_ps,
        |a, b, yes, no| _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    );
    width!(
        /// Sixteen numbers at a time.
        Avx512, __m512, 16, 12,
        _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps,
        _mm512_div_ps, _mm512_fmadd_ps, _mm512_max_ps, _mm512_min_ps, _mm512_sqrt_ps, _mm512_slli_epi32,
        _mm512_srli_epi32, _mm512_add_epi32, _mm512_castps_si512, _mm512_castsi512_ps,
        |a, b, yes, no| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes)
    );
    width!(
        /// Sixteen numbers at a time, and sixteen pairs of bf16 in one instruction.
        Avx512Bf16, __m512, 16, 12,
        _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps,
        _mm512_div_ps, _mm512_fmadd_ps, _mm512_max_ps, _mm512_min_ps, _mm512_sqrt_ps, _mm512_slli_epi32,
        _mm512_add_epi32, _mm512_castps_si512, _mm512_castsi512_ps,
        |a, b, yes, no| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes),
        |x, y, z| _mm512_dpbf16_ps(
            z, std::mem::transmute::<__m512, __m512bh>(x), std::mem::transmute::<__m512, __m512bh>(y))
    );
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::Simd;

    #[inline]
    #[target_feature(enable = "neon")]
    fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        vfmaq_f32(c, a, b)
    }

    /// vmaxq would be a NaN if either is.
    #[inline]
    #[target_feature(enable = "neon")]
    fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vbslq_f32(vcgtq_f32(a, b), a, b)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vbslq_f32(vcltq_f32(a, b), a, b)
    }

    width!(
        /// Four numbers at a time, of which a 64-bit ARM processor has 32 registers.
        Neon, float32x4_t, 4, 12,
        vld1q_f32, vst1q_f32, vdupq_n_f32, vaddq_f32, vsubq_f32, vmulq_f32,
        vdivq_f32, fma, max, min, vsqrtq_f32, vshlq_n_s32, vshrq_n_s32,
        vaddq_s32, vreinterpretq_s32_f32, vreinterpretq_f32_s32,
        |a, b, yes, no| vbslq_f32(vcltq_f32(a, b), yes, no)
    );
}

/// Defines a function whose body, generic over a [`Simd`] type, is compiled for every width; a call takes the width
/// of [`level()`].
macro_rules! simd {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident<$S:ident>($s:ident $(, $arg:ident: $type:ty)* $(,)?)
     $(-> $out:ty)? $body:block) => {
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body<$S: $crate::kernels::flex::simd::Simd>($s: $S, $($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $out)? {
                // SAFETY: this function is reached at the level that was found to have the instructions.
                body(unsafe { $crate::kernels::flex::simd::Avx512::new() }, $($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $out)? {
                // SAFETY: this function is reached at the level that was found to have the instructions.
                body(unsafe { $crate::kernels::flex::simd::Avx2::new() }, $($arg),*)
            }

            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            fn neon($($arg: $type),*) $(-> $out)? {
                // SAFETY: this function is reached at the level that was found to have the instructions.
                body(unsafe { $crate::kernels::flex::simd::Neon::new() }, $($arg),*)
            }

            match $crate::kernels::level::level() {
                // SAFETY: the level was found to have the instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::level::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: the level was found to have the instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::level::Level::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: the level was found to have the instructions.
                #[cfg(target_arch = "aarch64")]
                $crate::kernels::level::Level::Neon => unsafe { neon($($arg),*) },
                _ => body($crate::kernels::flex::simd::Portable, $($arg),*),
            }
        }
    };
}
pub(super) use simd;

/// Numbers of a vector at the current level.
pub fn lanes() -> usize {
    match level() {
        Level::Avx512 => 16,
        Level::Avx2 => 8,
        Level::Neon | Level::Portable | Level::Reference => Portable::LANES,
    }
}

/// Four rows of four, `stride` apart, become four columns, rows `to_stride` apart.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn transpose(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    assert!(
        from.len() >= 3 * stride + 4 && to.len() >= 3 * to_stride + 4,
        "both squares lie within their buffers"
    );
    // SAFETY: as just checked; every x86-64 processor has these instructions.
    unsafe {
        let [mut a, mut b, mut c, mut d] = [0, 1, 2, 3].map(|i| _mm_loadu_ps(from.as_ptr().add(i * stride)));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (i, row) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to.as_mut_ptr().add(i * to_stride), row);
        }
    }
}

/// Four rows of four, `stride` apart, become four columns, rows `to_stride` apart.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn transpose(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
    use std::arch::aarch64::*;
    assert!(
        from.len() >= 3 * stride + 4 && to.len() >= 3 * to_stride + 4,
        "both squares lie within their buffers"
    );
    // SAFETY: as just checked; every 64-bit ARM processor has these instructions.
    unsafe {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| vld1q_f32(from.as_ptr().add(i * stride)));
        let wide = |x| vreinterpretq_f64_f32(x);
        let [above, above_odd] = [vtrn1q_f32(a, b), vtrn2q_f32(a, b)].map(wide);
        let [below, below_odd] = [vtrn1q_f32(c, d), vtrn2q_f32(c, d)].map(wide);
        let columns = [
            vtrn1q_f64(above, below),
            vtrn1q_f64(above_odd, below_odd),
            vtrn2q_f64(above, below),
            vtrn2q_f64(above_odd, below_odd),
        ];
        for (i, column) in columns.into_iter().enumerate() {
            vst1q_f32(to.as_mut_ptr().add(i * to_stride), vreinterpretq_f32_f64(column));
        }
    }
}

/// Four rows of four, `stride` apart, become four columns, rows `to_stride` apart.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub fn transpose(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
    for i in 0..4 {
        for j in 0..4 {
            to[j * to_stride + i] = from[i * stride + j];
        }
    }
}
