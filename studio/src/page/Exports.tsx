/** Taking the story home. */

import { EXPORTS } from "../story/server";
import { Menu } from "./Menu";

export function Exports({ story }: { story: string }) {
  return (
    <Menu icon="export" words="Export" label="Export the story">
      {(close) =>
        EXPORTS.map(([file, name, what]) => (
          <a key={file} href={`api/stories/${story}/${file}`} download onClick={close}>
            <span>{name}</span>
            <span className="dim">{what}</span>
          </a>
        ))
      }
    </Menu>
  );
}
