package stage

import (
	"context"

	"holdfast/telephony/media"
	"holdfast/telephony/softphone"
)

// WaitMusic returns when the call hears the platform's music on hold, by the notes
// that sound in it all the time.
func WaitMusic(ctx context.Context, c *softphone.Call) error {
	if err := c.Audio.WaitTone(ctx, media.MusicLow); err != nil {
		return err
	}
	return c.Audio.WaitTone(ctx, media.MusicHigh)
}
