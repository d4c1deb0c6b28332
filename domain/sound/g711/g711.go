// Package g711 encodes, decodes and transcodes the two companding laws of
// ITU-T G.711 (11/88) by table: µ-law (RTP payload type 0, PCMU) and A-law
// (payload type 8, PCMA), both at 8000 samples per second.
//
// Linear samples are 16 bits wide, left-justified: µ-law fills the upper 14
// bits (values of G.711 table 2 times 4), A-law the upper 13 (table 1 times 8).
// Every function works on min(len(dst), len(src)) samples, returns that number,
// allocates nothing and is safe for concurrent use.
package g711

// Codes of silence: what a decoder turns into the smallest positive value.
const (
	// UlawSilence is the µ-law code of +0 (G.711 table 2a, after inversion).
	UlawSilence byte = 0xFF
	// AlawSilence is the A-law code of the smallest positive value
	// (G.711 table 1a, after inversion of the even bits).
	AlawSilence byte = 0xD5
)

// SampleRate is the sampling rate of G.711 in samples per second.
const SampleRate = 8000

const (
	// ulawBias moves the segment edges of the µ-law curve to powers of two:
	// 33 in the 14-bit units of G.711, times 4.
	ulawBias = 33 << 2
	// ulawClip is the largest magnitude that does not overflow when biased.
	ulawClip = 0x7FFF - ulawBias
	// alawMask inverts the even bits of an A-law code (G.711 §3, table 1 note 2).
	alawMask = 0x55
)

// The tables are 128 KB for the encoders (index: the sample as uint16), 1 KB for
// the decoders and 512 bytes for the transcoders.
var (
	ulawEncode, alawEncode [1 << 16]byte
	ulawDecode, alawDecode [256]int16
	ulawAlaw, alawUlaw     [256]byte
)

func init() {
	for i := range 1 << 16 {
		ulawEncode[i] = compressUlaw(int16(i))
		alawEncode[i] = compressAlaw(int16(i))
	}
	for i := range 256 {
		ulawDecode[i] = expandUlaw(byte(i))
		alawDecode[i] = expandAlaw(byte(i))
	}
	for i := range 256 {
		ulawAlaw[i] = alawEncode[uint16(ulawDecode[i])]
		alawUlaw[i] = ulawEncode[uint16(alawDecode[i])]
	}
	// µ-law has a negative zero, which the linear domain cannot hold: keep its
	// sign, so that a code's sign always survives.
	ulawAlaw[0x7F] = AlawSilence &^ 0x80
}

// compressUlaw is the µ-law of G.711 table 2: sign, three bits of segment, four
// of interval, all inverted on the line.
func compressUlaw(s int16) byte {
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, ulawClip) + ulawBias
	segment := byte(7)
	for edge := 0x4000; v < edge && segment > 0; edge >>= 1 {
		segment--
	}
	return ^(sign | segment<<4 | byte(v>>(segment+3))&0x0F)
}

func expandUlaw(code byte) int16 {
	code = ^code
	v := (int(code&0x0F)<<3+ulawBias)<<(code>>4&7) - ulawBias
	if code&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// compressAlaw is the A-law of G.711 table 1: the two lowest segments share one
// slope, so the segment grows only from 256 (in units of 1/8) upwards.
func compressAlaw(s int16) byte {
	v, sign := int(s)>>3, byte(0x80)
	if v < 0 {
		// ^ instead of - keeps the decision values of the negative half exact:
		// they belong to the interval nearer to zero.
		v, sign = ^v, 0
	}
	segment := byte(0)
	for edge := 32; v >= edge && segment < 7; edge <<= 1 {
		segment++
	}
	shift := max(segment, 1)
	return (sign | segment<<4 | byte(v>>shift)&0x0F) ^ alawMask
}

func expandAlaw(code byte) int16 {
	code ^= alawMask
	segment := code >> 4 & 7
	v := int(code&0x0F)<<4 + 8
	if segment > 0 {
		v = (v + 0x100) << (segment - 1)
	}
	if code&0x80 == 0 {
		v = -v
	}
	return int16(v)
}

// EncodeUlaw writes the µ-law codes of src to dst.
func EncodeUlaw(dst []byte, src []int16) int {
	n := min(len(dst), len(src))
	for i, s := range src[:n] {
		dst[i] = ulawEncode[uint16(s)]
	}
	return n
}

// DecodeUlaw writes the samples of the µ-law codes in src to dst.
func DecodeUlaw(dst []int16, src []byte) int {
	n := min(len(dst), len(src))
	for i, c := range src[:n] {
		dst[i] = ulawDecode[c]
	}
	return n
}

// EncodeAlaw writes the A-law codes of src to dst.
func EncodeAlaw(dst []byte, src []int16) int {
	n := min(len(dst), len(src))
	for i, s := range src[:n] {
		dst[i] = alawEncode[uint16(s)]
	}
	return n
}

// DecodeAlaw writes the samples of the A-law codes in src to dst.
func DecodeAlaw(dst []int16, src []byte) int {
	n := min(len(dst), len(src))
	for i, c := range src[:n] {
		dst[i] = alawDecode[c]
	}
	return n
}

// UlawToAlaw writes the A-law codes nearest to the µ-law codes in src to dst,
// which may be src itself.
func UlawToAlaw(dst, src []byte) int {
	n := min(len(dst), len(src))
	for i, c := range src[:n] {
		dst[i] = ulawAlaw[c]
	}
	return n
}

// AlawToUlaw writes the µ-law codes nearest to the A-law codes in src to dst,
// which may be src itself.
func AlawToUlaw(dst, src []byte) int {
	n := min(len(dst), len(src))
	for i, c := range src[:n] {
		dst[i] = alawUlaw[c]
	}
	return n
}
