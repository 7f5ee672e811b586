import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./page/App";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/story.css";

createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
