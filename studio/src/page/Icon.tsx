/** Line drawings on a 24 x 24 field; always beside words or inside a labelled button. */

const PATHS = {
  shoot: "M5 4v16l14-8z",
  cut: "M6 6l12 12M6 18L18 6M4.5 4.5a2 2 0 1 0 3 3 2 2 0 0 0-3-3zM4.5 16.500a2 2 0 1 0 3 3 2 2 0 0 0-3-3z",
  hold: "M8 11V5.500a1.5 1.5 0 0 1 3 0V11m0-6.500a1.5 1.5 0 0 1 3 0V11m0-5a1.5 1.5 0 0 1 3 0v8a6 6 0 0 1-11 3.300L4 14.500a1.6 1.6 0 0 1 2.5-2L8 14v-3",
  pause: "M8 5v14M16 5v14",
  stop: "M6 6h12v12H6z",
  undo: "M9 7H15a5 5 0 0 1 0 10H7M9 7l3-3M9 7l3 3",
  redirect: "M4 18v-4a5 5 0 0 1 5-5h11m0 0l-4-4m4 4l-4 4",
  longer: "M4 12h16m-4-4l4 4-4 4M4 7v10",
  retake: "M20 12a8 8 0 1 1-2.5-5.800M20 4v5h-5",
  branch: "M6 4v16M6 14c0-4 12-2 12-8m0 0l-3 3m3-3l3 3",
  edit: "M4 20l1-5L16 4l4 4L9 19z",
  pin: "M12 21v-7m-5 0h10l-2-4V4H9v6z",
  skip: "M4 6l7 6-7 6zM11 6l7 6-7 6zM20 6v12",
  insert: "M12 5v14M5 12h14",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.500h.01",
  play: "M7 5v14l11-7z",
  more: "M5 11.5v1M12 11.5v1M19 11.5v1",
  adapt: "M4 7h9M4 12h6M4 17h9M15 12h6m-3-3l3 3-3 3",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20a7.5 7.5 0 0 1 15 0",
  words: "M4 6h16M4 11h9M4 16h6M17 12v4m0 3v.010",
  up: "M12 19V5m-5 5l5-5 5 5",
  down: "M12 5v14m-5-5l5 5 5-5",
  double: "M8 8h12v12H8zM16 8V4H4v12h4",
  script: "M5 4h14v16H5zM8 8h8M8 12h8M8 16h5",
  alone: "M4 5h3M4 19h3M20 5h-3M20 19h-3M4 5v14M20 5v14M10 9v6l5-3z",
  loop: "M4 11V9a3 3 0 0 1 3-3h12m-3-3l3 3-3 3M20 13v2a3 3 0 0 1-3 3H5m3 3l-3-3 3-3",
  sound: "M4 9v6h4l5 4V5L8 9zM16 9a4 4 0 0 1 0 6M18.500 6.500a8 8 0 0 1 0 11",
  muted: "M4 9v6h4l5 4V5L8 9zM16 10l5 5M21 10l-5 5",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  in: "M11 4H7v16h4M12 12h8m-3-3l3 3-3 3",
  out: "M13 4h4v16h-4M12 12H4m3-3l-3 3 3 3",
  trim: "M8 4H4v16h4M16 4h4v16h-4M9 12h6",
  back: "M15 5l-7 7 7 7M5 5v14",
  on: "M9 5l7 7-7 7M19 5v14",
  compare: "M4 5h7v14H4zM13 5h7v14h-7z",
  figures: "M5 20V10M12 20V4M19 20v-7",
  close: "M6 6l12 12M18 6L6 18",
  system: "M4 5h16v11H4zM9 20h6",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.400m11.2 11.200L19 19M5 19l1.4-1.400M17.6 6.400L19 5",
  dark: "M20 14A8.5 8.5 0 0 1 10 4a8.5 8.5 0 1 0 10 10z",
  kept: "M5 13l4.500 4.500L19 7",
  lost: "M12 5v9M12 18v.5",
  best: "M12 4l2.400 5.200 5.600.700-4.100 3.900 1 5.600-4.900-2.700-4.900 2.700 1-5.600L4 9.900l5.600-.700z",
  after: "M4 12h9m-3-4l4 4-4 4M20 5v14",
  share:
    "M6 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM18 3a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM18 15a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8.700 10.700l6.600-3.400m-6.600 6l6.600 3.400",
  export: "M12 4v11m-4-4l4 4 4-4M5 19h14",
  import: "M12 15V4m-4 4l4-4 4 4M5 19h14",
  dice: "M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",
  library: "M4 5h5v14H4zM9 5h5v14H9zM15 6l4-1 2 14-4 .6z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
