/** Where the browser finds npm packages (staticfiles serves them under vendor/), for the type checker. */

declare module "*/vendor/wavesurfer/wavesurfer.esm.js" {
  export { default } from "wavesurfer.js";
}

declare module "*/vendor/wavesurfer/plugins/regions.esm.js" {
  export { default } from "wavesurfer.js/plugins/regions";
}

declare module "*/vendor/wavesurfer/plugins/timeline.esm.js" {
  export { default } from "wavesurfer.js/plugins/timeline";
}

declare module "*/vendor/signalsmith/SignalsmithStretch.mjs" {
  const createNode: {
    (
      context: BaseAudioContext,
      options: AudioWorkletNodeOptions,
    ): Promise<import("../audio/nodes/pitch-shifter.js").StretchNode>;
    moduleUrl?: string;
  };
  export default createNode;
}
