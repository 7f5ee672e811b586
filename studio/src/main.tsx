import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./page/App";
import { Stumble } from "./page/Stumble";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/start.css";
import "./styles/title.css";
import "./styles/story.css";
import "./styles/board.css";
import "./styles/side.css";

createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <Stumble>
      <App />
    </Stumble>
  </StrictMode>,
);
