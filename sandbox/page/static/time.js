// Moments as people read them: in the zone of the person whose window this is, by the workspace's clock.

import { store } from "./store.js";

const formats = new Map();

function parts(moment, options) {
  const key = store.me.tz + JSON.stringify(options);
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat("en-US", { timeZone: store.me.tz, ...options }));
  }
  return formats.get(key).format(moment);
}

export const momentOf = (ts) => new Date(Number(ts) * 1000);

export const clock = (moment) => parts(moment, { hour: "numeric", minute: "2-digit" });

export const exact = (moment) =>
  parts(moment, { weekday: "long", year: "numeric", month: "long", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "short" });

/** A day as YYYY-MM-DD, in the person's zone. */
export function day(moment) {
  const [month, date, year] = parts(moment, { year: "numeric", month: "2-digit", day: "2-digit" }).split("/");
  return `${year}-${month}-${date}`;
}

function near(moment) {
  const today = day(new Date(store.now()));
  const wanted = day(moment);
  if (wanted === today) return "today";
  if (wanted === day(new Date(store.now() - 86400000))) return "yesterday";
  if (wanted === day(new Date(store.now() + 86400000))) return "tomorrow";
  return null;
}

const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** What stands above the messages of a day. */
export function dayName(moment) {
  const word = near(moment);
  return word ? capital(word) : `${parts(moment, { weekday: "long" })}, ${monthDay(moment)}`;
}

function ordinal(number) {
  if (number >= 11 && number <= 13) return `${number}th`;
  return number + ({ 1: "st", 2: "nd", 3: "rd" }[number % 10] ?? "th");
}

const far = (moment) => Math.abs(moment - store.now()) > 183 * 86400000;

const year = (moment) => (far(moment) ? `, ${parts(moment, { year: "numeric" })}` : "");

const monthDay = (moment) =>
  `${parts(moment, { month: "long" })} ${ordinal(Number(parts(moment, { day: "numeric" })))}${year(moment)}`;

const TOKENS = {
  date_num: day,
  date_slash: (moment) => day(moment).split("-").reverse().join("/"),
  date: monthDay,
  date_short: (moment) => `${parts(moment, { month: "short" })} ${parts(moment, { day: "numeric" })}${year(moment)}`,
  date_long: (moment) => `${parts(moment, { weekday: "long" })}, ${monthDay(moment)}`,
  date_long_full: (moment) => `${parts(moment, { month: "long" })} ${parts(moment, { day: "numeric" })}, ${parts(moment, { year: "numeric" })}`,
  day_divider: dayName,
  time: clock,
  time_secs: (moment) => parts(moment, { hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago,
};

function ago(moment) {
  const seconds = Math.round(Math.abs(store.now() - moment) / 1000);
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]) {
    const count = Math.floor(seconds / length);
    if (count) {
      const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
      return moment <= store.now() ? `${words} ago` : `in ${words}`;
    }
  }
  return "now";
}

/** A moment drawn by a template such as `{date_short_pretty} at {time}`. */
export function drawn(seconds, template, fallback) {
  const moment = new Date(Number(seconds) * 1000);
  if (Number.isNaN(moment.valueOf())) return fallback;
  return template.replace(/\{(\w+)\}/g, (whole, token) => {
    const draw = TOKENS[token.replace(/_pretty$/, "")];
    if (!draw) return whole;
    const word = token.endsWith("_pretty") && near(moment);
    return word || draw(moment);
  });
}

/** When something was last said, in a word or two. */
export function since(ts) {
  const moment = momentOf(ts);
  const word = near(moment);
  return word === "today" ? `today at ${clock(moment)}` : word ?? TOKENS.date_short(moment);
}

// -- fields for a moment, which a browser shows without a zone

/** "YYYY-MM-DDTHH:MM" in the person's zone. */
export function toField(seconds) {
  const moment = new Date(seconds * 1000);
  const time = parts(moment, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return `${day(moment)}T${time}`;
}

/** The other way: seconds since the epoch for what a field says in the person's zone. */
export function fromField(text) {
  const wanted = Date.parse(`${text}:00Z`) / 1000;
  let guess = wanted;
  for (let turn = 0; turn < 3; turn += 1) {
    guess += wanted - Date.parse(`${toField(guess)}:00Z`) / 1000;
  }
  return guess;
}
