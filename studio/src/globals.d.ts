/** True only in the builds of `dev/`: the page then also shows frames that nobody encoded. */
declare const __RAW_FRAMES__: boolean;

declare module "*.css";
