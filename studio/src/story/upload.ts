/** Sending a picture to the server. */

import { NO_ANSWER, NotThere, mistake } from "./server";

export const PICTURE_TYPES = ["image/png", "image/jpeg", "image/webp"];

/**
 * Sends a picture; answers with the name for a `reference` command.
 *
 * @param mostBytes what the server takes.
 * @param progress told the share that is sent, 0 to 1.
 * @throws Error with a sentence for the person.
 */
export async function uploadPicture(
  picture: File,
  mostBytes: number,
  progress: (share: number) => void,
): Promise<string> {
  if (!PICTURE_TYPES.includes(picture.type)) {
    throw new Error(`“${picture.name}” is no picture that can be used. Take a PNG, JPEG or WebP.`);
  }
  if (picture.size > mostBytes) {
    const [has, most] = [picture.size, mostBytes].map((bytes) => (bytes / 2 ** 20).toFixed(1));
    throw new Error(`The picture has ${has} MiB; at most ${most} are taken. Make it smaller first.`);
  }
  const answer = await send(picture, progress);
  if (answer.status >= 400) throw mistake(answer.status, answer.responseText);
  return (JSON.parse(answer.responseText) as { upload: string }).upload;
}

/** `fetch` tells nothing of its progress. */
function send(picture: File, progress: (share: number) => void): Promise<XMLHttpRequest> {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", "api/uploads");
    request.setRequestHeader("Content-Type", picture.type);
    request.upload.onprogress = ({ loaded, total }) => progress(total > 0 ? loaded / total : 0);
    request.onload = () => done(request);
    request.onerror = () => failed(new NotThere(NO_ANSWER));
    request.send(picture);
  });
}
