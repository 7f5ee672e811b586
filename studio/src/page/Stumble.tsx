/** What stands here when a part of the page cannot be drawn. */

import { Component, type ReactNode } from "react";

export class Stumble extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <main className="start" role="alert">
        <h1>The page stumbled.</h1>
        <p className="lead">The stories are safe: the server keeps them, and what you typed stays here.</p>
        <p>
          <button type="button" className="primary" onClick={() => location.reload()}>
            Load the page again
          </button>
        </p>
        <p className="dim">{this.state.error.message}</p>
      </main>
    );
  }
}
