// @ts-check

/** Below this a level shows nothing, at the other it is full; decibels relative to full scale. */
const QUIET = -55;
const LOUD = -12;

/** How loud a stream is right now. */
export class Meter {
  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream with at least one audio track
   */
  constructor(context, stream) {
    this._analyser = context.createAnalyser();
    this._analyser.fftSize = 1024;
    this._samples = new Float32Array(this._analyser.fftSize);
    // Kept: Firefox once collected a source nobody held.
    this._source = context.createMediaStreamSource(stream);
    this._source.connect(this._analyser);
  }

  /** From 0 (silence) to 1, linear in decibels. */
  level() {
    this._analyser.getFloatTimeDomainData(this._samples);
    let energy = 0;
    for (const sample of this._samples) energy += sample * sample;
    const decibels = 10 * Math.log10(energy / this._samples.length + 1e-12);
    return Math.min(1, Math.max(0, (decibels - QUIET) / (LOUD - QUIET)));
  }
}
