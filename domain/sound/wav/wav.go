// Package wav reads and writes RIFF/WAVE files of 8000 samples per second, mono,
// as 16-bit PCM (format 1) or G.711 µ-law (format 7); it also reads A-law
// (format 6). Nothing else: a file of another rate or with more channels is
// refused with a sentence that says so.
package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"holdfast/domain/sound/g711"
)

// SampleRate is the only rate that this package knows, in samples per second.
const SampleRate = 8000

// Format is how samples are stored; the value is WAVE's format tag.
type Format uint16

// The formats of RFC 2361.
const (
	PCM16 Format = 1
	Alaw  Format = 6
	Ulaw  Format = 7
)

// ErrFormat is wrapped by every error that means: a WAVE file, but not one that
// this package reads, or no WAVE file at all.
var ErrFormat = errors.New("not an 8 kHz mono PCM16, µ-law or A-law WAVE file")

// maxData bounds what Read takes into memory: two hours.
const maxData = 2 * 3600 * SampleRate * 2

// Read reads the whole of r and returns its samples. A data chunk whose size was
// never written (0, or more than there is, as after a crash) is read to the end.
func Read(r io.Reader) ([]int16, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxData))
	if err != nil {
		return nil, fmt.Errorf("read wave file: %w", err)
	}
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, fmt.Errorf("%w: no RIFF/WAVE header", ErrFormat)
	}
	var format Format
	for b = b[12:]; len(b) >= 8; {
		id, size := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		body := b[:min(size, len(b))]
		switch id {
		case "fmt ":
			if format, err = parseFormat(body); err != nil {
				return nil, err
			}
		case "data":
			if size == 0 || size > len(b) {
				body = b
			}
			return decode(format, body)
		}
		b = b[min(len(body)+size&1, len(b)):]
	}
	return nil, fmt.Errorf("%w: no data chunk", ErrFormat)
}

// ReadFile is Read for a file on disk.
func ReadFile(path string) ([]int16, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only: nothing to lose
	pcm, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pcm, nil
}

func parseFormat(b []byte) (Format, error) {
	if len(b) < 16 {
		return 0, fmt.Errorf("%w: short fmt chunk", ErrFormat)
	}
	format := Format(binary.LittleEndian.Uint16(b))
	channels, rate := binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
	bits := binary.LittleEndian.Uint16(b[14:])
	want := map[Format]uint16{PCM16: 16, Alaw: 8, Ulaw: 8}[format]
	if channels != 1 || rate != SampleRate || want == 0 || bits != want {
		return 0, fmt.Errorf("%w: format %d, %d channels, %d Hz, %d bits", ErrFormat, format, channels, rate, bits)
	}
	return format, nil
}

func decode(format Format, b []byte) ([]int16, error) {
	switch format {
	case PCM16:
		pcm := make([]int16, len(b)/2)
		for i := range pcm {
			pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
		}
		return pcm, nil
	case Ulaw:
		pcm := make([]int16, len(b))
		g711.DecodeUlaw(pcm, b)
		return pcm, nil
	case Alaw:
		pcm := make([]int16, len(b))
		g711.DecodeAlaw(pcm, b)
		return pcm, nil
	}
	return nil, fmt.Errorf("%w: data before fmt chunk", ErrFormat)
}

// Writer streams samples into a WAVE file. Close patches the sizes in the
// header; a file that was never closed is still readable by Read.
type Writer struct {
	w      io.WriteSeeker
	format Format
	data   uint32
	buf    []byte
	closed bool
}

// NewWriter writes a header of the given format (PCM16 or Ulaw) to w.
func NewWriter(w io.WriteSeeker, format Format) (*Writer, error) {
	if format != PCM16 && format != Ulaw {
		return nil, fmt.Errorf("write wave file: %w: format %d", ErrFormat, format)
	}
	if _, err := w.Write(header(format, 0)); err != nil {
		return nil, fmt.Errorf("write wave header: %w", err)
	}
	return &Writer{w: w, format: format}, nil
}

// PCM appends samples.
func (w *Writer) PCM(pcm []int16) error {
	w.buf = encode(w.buf[:0], w.format, pcm)
	n, err := w.w.Write(w.buf)
	w.data += uint32(n)
	if err != nil {
		return fmt.Errorf("write wave data: %w", err)
	}
	return nil
}

// Close writes the final sizes. It does not close the underlying file. A second
// Close does nothing.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if w.data&1 == 1 { // chunks are padded to even length
		if _, err := w.w.Write([]byte{0}); err != nil {
			return fmt.Errorf("pad wave data: %w", err)
		}
	}
	if _, err := w.w.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("patch wave header: %w", err)
	}
	if _, err := w.w.Write(header(w.format, w.data)); err != nil {
		return fmt.Errorf("patch wave header: %w", err)
	}
	if _, err := w.w.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("patch wave header: %w", err)
	}
	return nil
}

// Bytes returns a whole WAVE file of the samples in the given format (PCM16 or
// Ulaw).
func Bytes(pcm []int16, format Format) []byte {
	data := encode(nil, format, pcm)
	b := append(header(format, uint32(len(data))), data...)
	if len(data)&1 == 1 {
		b = append(b, 0)
	}
	return b
}

// WriteFile writes a whole WAVE file of the samples in the given format (PCM16
// or Ulaw).
func WriteFile(path string, pcm []int16, format Format) error {
	return os.WriteFile(path, Bytes(pcm, format), 0o644)
}

func encode(dst []byte, format Format, pcm []int16) []byte {
	if format == Ulaw {
		start := len(dst)
		dst = append(dst, make([]byte, len(pcm))...)
		g711.EncodeUlaw(dst[start:], pcm)
		return dst
	}
	for _, s := range pcm {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(s))
	}
	return dst
}

// header builds RIFF, fmt, fact (asked for by RFC 2361 for anything but PCM) and
// the head of the data chunk.
func header(format Format, data uint32) []byte {
	width := uint32(2)
	if format == Ulaw {
		width = 1
	}
	var chunks bytes.Buffer
	le := func(v any) { _ = binary.Write(&chunks, binary.LittleEndian, v) } // a bytes.Buffer cannot fail
	chunks.WriteString("fmt ")
	if format == PCM16 {
		le(uint32(16))
	} else {
		le(uint32(18))
	}
	le(format)
	le(uint16(1))
	le(uint32(SampleRate))
	le(SampleRate * width)
	le(uint16(width))
	le(uint16(8 * width))
	if format != PCM16 {
		le(uint16(0))
		chunks.WriteString("fact")
		le(uint32(4))
		le(data / width)
	}
	chunks.WriteString("data")
	le(data)

	h := []byte("RIFF\x00\x00\x00\x00WAVE")
	binary.LittleEndian.PutUint32(h[4:], 4+uint32(chunks.Len())+data+data&1)
	return append(h, chunks.Bytes()...)
}
