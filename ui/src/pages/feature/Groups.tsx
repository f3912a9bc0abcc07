import { useRef, type KeyboardEvent } from "react";
import type { Feature } from "../../api/client";
import { activation, compact, count } from "../../format";

type Group = Feature["groups"][number];

/** A tab: its group, what it is called, and what stands below the name. */
interface Tab {
  group: string;
  name: string;
  about: string;
  says: string;
  /** Bars of the histogram that stand over it. */
  bars: number[];
  /** Of the maximum, for the color of its bars. */
  share: number;
}

const FEW = 20;

/**
 * The groups of contexts. The histogram is the bar of tabs: over each fifth of the maximum stand
 * the tokens in it, below it the contexts whose strongest token is there.
 */
export function Groups({ feature, shown, selected, onSelect, panel }: { feature: Feature; shown: number; selected: string; onSelect: (group: string) => void; panel: string }) {
  const bar = useRef<HTMLDivElement>(null);
  const tabs = tabsOf(feature, shown);
  const highest = Math.max(...feature.histogram.counts, 1);

  function press(event: KeyboardEvent) {
    const now = tabs.findIndex((tab) => tab.group === selected);
    const to: Record<string, number> = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: tabs.length - 1 };
    const next = tabs[to[event.key] ?? -1];
    if (!(event.key in to)) return;
    event.preventDefault();
    if (next === undefined) return;
    onSelect(next.group);
    bar.current?.querySelector<HTMLElement>(`[data-group="${next.group}"]`)?.focus();
  }

  return (
    <div ref={bar} className="tabs" role="tablist" aria-label="Groups of contexts" onKeyDown={press} tabIndex={-1}>
      {tabs.map((tab) => (
        <button
          key={tab.group}
          id={`tab-${tab.group}`}
          type="button"
          role="tab"
          data-group={tab.group}
          className={tab.bars.length > 0 ? "interval" : undefined}
          aria-selected={tab.group === selected}
          aria-controls={panel}
          tabIndex={tab.group === selected ? 0 : -1}
          data-says={tab.says}
          onClick={() => onSelect(tab.group)}
        >
          {tab.bars.length > 0 && (
            <span className="over" aria-hidden="true">
              {tab.bars.map((value, i) => (
                // Bars are positions.
                // oxlint-disable-next-line react/no-array-index-key
                <Bar key={i} value={value} highest={highest} share={tab.share} few={feature.firings < FEW} />
              ))}
            </span>
          )}
          <span className="name">{tab.name}</span> <small>{tab.about}</small>
        </button>
      ))}
    </div>
  );
}

/** A bar; of a feature that fired a few times, a dot for each. */
function Bar({ value, highest, share, few }: { value: number; highest: number; share: number; few: boolean }) {
  const opacity = 0.4 + 0.6 * share;
  if (few) {
    return (
      <i className="few">
        {Array.from({ length: value }, (_, dot) => (
          <b key={dot} style={{ opacity }} />
        ))}
      </i>
    );
  }
  const height = value === 0 ? 0 : Math.max((100 * Math.log1p(value)) / Math.log1p(highest), 4);
  return <i style={{ height: `${height}%`, opacity }} />;
}

function tabsOf(feature: Feature, shown: number): Tab[] {
  const { groups, histogram } = feature;
  const named = (name: string) => groups.find((group) => group.name === name);
  const tabs: Tab[] = [];
  const contexts = feature.contexts ?? named("top")?.available;
  tabs.push({
    group: "top",
    name: "strongest",
    about: contexts === null || contexts === undefined ? "" : `${count(shown)} of ${count(contexts)}`,
    says: "the contexts with the largest activations",
    bars: [],
    share: 1,
  });
  const intervals = groups.filter((group) => group.name.startsWith("interval-"));
  intervals.forEach((group, i) => {
    const n = intervals.length;
    const per = histogram.counts.length / n;
    const bars = histogram.counts.slice(Math.round(i * per), Math.round((i + 1) * per));
    tabs.push({
      group: group.name,
      name: `${(100 * i) / n}–${(100 * (i + 1)) / n} %`,
      about: group.available === null ? "" : amountOf(group.available),
      says:
        `contexts whose strongest activation is above ${activation(group.lower)} and up to ` +
        `${activation(group.upper)}; over it the tokens with such an activation, ` +
        `${count(bars.reduce((sum, value) => sum + value, 0))} of them`,
      bars,
      share: (i + 1) / n,
    });
  });
  const others: [string, string, string, string][] = [
    ["random", "random", "of all firing", "contexts drawn evenly from all in which it is active"],
    ["same-token", "silent", "same token", "contexts with a token it fires on, in which it is silent"],
    ["silent", "silent", "any text", "contexts drawn from all in which it is silent"],
  ];
  for (const [group, name, about, says] of others) {
    const found = named(group);
    if (!found) continue;
    tabs.push({ group, name, about: `${about}${amount(found)}`, says, bars: [], share: 0 });
  }
  return tabs;
}

const amountOf = (available: number) => (available < 10_000 ? count(available) : compact(available));
const amount = ({ available }: Group) => (available === null ? "" : `, ${amountOf(available)}`);
