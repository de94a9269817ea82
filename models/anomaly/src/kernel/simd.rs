//! Vectors of numbers: AVX-512, AVX2, or plain arrays.
//!
//! The only module of the project with `unsafe`. It is sound because a value of [`Avx512`] or [`Avx2`] is only created by
//! its `detect`, after the processor has reported the extension, and every instruction is a method of such a value. Does
//! not contain what is computed (`math.rs`, `forward.rs`, `backward.rs`).
//!
//! Additions and multiplications follow IEEE 754 on every machine. Two things differ between machines: whether
//! [`Simd::mul_add`] rounds once or twice, and the last bit of [`Simd::recip`].
#![allow(unsafe_code, reason = "vector instructions, called only where the processor has reported them")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::fmt::Debug;

/// Operations on `L` numbers at a time, and on `R` rows at a time: as many as the registers hold four sums of.
pub(super) trait Simd<const L: usize, const R: usize>: Copy + Debug + Send + 'static {
    /// A vector of `L` numbers.
    type V: Copy;

    /// Runs the work in a function that is compiled for these vectors.
    fn dispatch<W: Work<L, R>>(self, work: W) -> W::Output;

    fn splat(self, value: f32) -> Self::V;
    fn load(self, from: &[f32; L]) -> Self::V;
    fn store(self, value: Self::V, to: &mut [f32; L]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Limits a value to `-bound..=bound`; NaN stays NaN.
    fn clamp(self, value: Self::V, bound: f32) -> Self::V;
    /// Rounds to the nearest whole number, for numbers below 2^22.
    fn round(self, value: Self::V) -> Self::V;
    /// `value * 2^exponent`, for whole exponents within -100 and 100.
    fn scale(self, value: Self::V, exponent: Self::V) -> Self::V;
    /// `1 / value`, for values from 1 to 2^100.
    fn recip(self, value: Self::V) -> Self::V;
}

/// A computation with vectors of any kind. Every function called by `run` must be inlined, so that it is compiled for the
/// vectors' extension.
pub(super) trait Work<const L: usize, const R: usize> {
    type Output;
    fn run<S: Simd<L, R>>(self, simd: S) -> Self::Output;
}

/// Sixteen numbers: AVX-512F.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    pub(super) fn detect() -> Option<Avx512> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma")).then_some(Avx512(()))
    }
}

// SAFETY, for every block in here: an `Avx512` exists only where `detect` has found AVX-512F and FMA.
#[cfg(target_arch = "x86_64")]
impl Simd<16, 4> for Avx512 {
    type V = __m512;

    fn dispatch<W: Work<16, 4>>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,fma")]
        fn compiled<W: Work<16, 4>>(simd: Avx512, work: W) -> W::Output {
            work.run(simd)
        }
        unsafe { compiled(self, work) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> __m512 {
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, value: __m512, to: &mut [f32; 16]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    /// If one operand is NaN, `min` and `max` return the second.
    #[inline(always)]
    fn clamp(self, value: __m512, bound: f32) -> __m512 {
        unsafe { _mm512_min_ps(_mm512_set1_ps(bound), _mm512_max_ps(_mm512_set1_ps(-bound), value)) }
    }

    #[inline(always)]
    fn round(self, value: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value) }
    }

    #[inline(always)]
    fn scale(self, value: __m512, exponent: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(value, exponent) }
    }

    /// The processor's 14-bit estimate, and one step of Newton's method, which doubles its bits.
    #[inline(always)]
    fn recip(self, value: __m512) -> __m512 {
        unsafe {
            let guess = _mm512_rcp14_ps(value);
            let error = _mm512_fnmadd_ps(value, guess, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(guess, error, guess)
        }
    }
}

/// Eight numbers: AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    pub(super) fn detect() -> Option<Avx2> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }
}

// SAFETY, for every block in here: an `Avx2` exists only where `detect` has found AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
impl Simd<8, 2> for Avx2 {
    type V = __m256;

    fn dispatch<W: Work<8, 2>>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<W: Work<8, 2>>(simd: Avx2, work: W) -> W::Output {
            work.run(simd)
        }
        unsafe { compiled(self, work) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; 8]) -> __m256 {
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, value: __m256, to: &mut [f32; 8]) {
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    /// If one operand is NaN, `min` and `max` return the second.
    #[inline(always)]
    fn clamp(self, value: __m256, bound: f32) -> __m256 {
        unsafe { _mm256_min_ps(_mm256_set1_ps(bound), _mm256_max_ps(_mm256_set1_ps(-bound), value)) }
    }

    #[inline(always)]
    fn round(self, value: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value) }
    }

    /// Adds to the number's own exponent.
    #[inline(always)]
    fn scale(self, value: __m256, exponent: __m256) -> __m256 {
        unsafe {
            let bits = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(exponent));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(value), bits))
        }
    }

    #[inline(always)]
    fn recip(self, value: __m256) -> __m256 {
        unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), value) }
    }
}

/// Four numbers, on any machine. The compiler vectorises it as far as it can.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Simd<4, 2> for Portable {
    type V = [f32; 4];

    fn dispatch<W: Work<4, 2>>(self, work: W) -> W::Output {
        work.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    fn load(self, from: &[f32; 4]) -> [f32; 4] {
        *from
    }

    #[inline(always)]
    fn store(self, value: [f32; 4], to: &mut [f32; 4]) {
        *to = value;
    }

    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }

    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
    }

    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }

    /// Rounds twice. Without hardware support, rounding once would need a function call.
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn clamp(self, value: [f32; 4], bound: f32) -> [f32; 4] {
        value.map(|value| value.clamp(-bound, bound))
    }

    /// A sum with 1.5 * 2^23 has no bits for a fraction.
    #[inline(always)]
    fn round(self, value: [f32; 4]) -> [f32; 4] {
        let offset = [12_582_912.0; 4];
        self.sub(self.add(value, offset), offset)
    }

    /// Adds to the number's own exponent.
    #[inline(always)]
    fn scale(self, value: [f32; 4], exponent: [f32; 4]) -> [f32; 4] {
        let mut scaled = value;
        for lane in 0..4 {
            scaled[lane] = f32::from_bits(value[lane].to_bits().wrapping_add((exponent[lane] as i32 as u32) << 23));
        }
        scaled
    }

    #[inline(always)]
    fn recip(self, value: [f32; 4]) -> [f32; 4] {
        [1.0 / value[0], 1.0 / value[1], 1.0 / value[2], 1.0 / value[3]]
    }
}
