// Links to the sound of a job. They are valid for a time; new ones are asked for by themselves before that is over.
import { usePage } from "../ui.js";
import { useEffect, useState } from "../vendor/hooks.js";

/** @typedef {Record<string, any>} Tree */
/** @typedef {{name: string, key: string, url: string, saveUrl: string, size: number}} Track */

/** The mix and the stems. @param {Tree} more of a job @returns {Track[]} */
function tracksOf({ Source, Stem }) {
  return [
    { name: "Mix", key: Source.Key, url: Source.Url, saveUrl: Source.DownloadUrl, size: 0 },
    ...(Stem ?? []).map((/** @type {Tree} */ stem) => ({ name: stem.Track, key: stem.Key, url: stem.Url, saveUrl: stem.DownloadUrl, size: Number(stem.Size) })),
  ];
}

/** How long links are used until new ones are asked for, ms: half of their time, so that one failed request is no harm. @param {number} seconds for which they are valid */
export function renewalMs(seconds) {
  return seconds * 500;
}

/**
 * The tracks of a job, with links that are valid.
 * @param {Tree} first what is known of the job already
 * @returns {{tracks: Track[], renew: () => Promise<Track[]>}}
 */
export function useTracks(first) {
  const { api } = usePage();
  const [tracks, setTracks] = useState(tracksOf(first));
  const renew = async () => {
    const fresh = tracksOf(await api.call("GET", `/console/jobs/${first.Job.JobId}`));
    setTracks(fresh);
    return fresh;
  };
  useEffect(() => {
    const timer = setInterval(() => renew().catch(() => {}), renewalMs(Number(first.LinkSeconds)));
    return () => clearInterval(timer);
  }, [api]);
  return { tracks, renew };
}
