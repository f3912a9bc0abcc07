import { useRef } from "react";
import { useLists } from "../../api/queries";
import { Menu } from "../../components/Menu";
import { Failed } from "../../components/States";
import { announce } from "../../page";
import { count } from "../../format";
import { isMeasured, NUMBER_COLUMNS, numberColumn } from "../../list/columns";
import { kindOf } from "../../list/select";
import { KINDS, type ListState } from "../../list/state";
import type { FeatureList } from "../../list/useList";
import { ColumnFilter } from "./ColumnMenu";

/** Filters that are on, each with ×, what it hides and what it says; then those there are. */
export function Chips({ list, onChange }: { list: FeatureList; onChange: (state: ListState) => void }) {
  const { state, selection, columns } = list;
  const named = useLists(state.list !== "").data?.find(({ id }) => id === state.list);
  const text = (key: "fires" | "promotes" | "text", label: string, hint: string) =>
    state[key] === "" && <TextFilter key={key} label={label} hint={hint} onSet={(value) => onChange({ ...state, [key]: value })} />;
  const further = NUMBER_COLUMNS.filter(
    (column) => ["label", "stability", "output", "mean", "contexts"].includes(column.key) && state.ranges[column.key] === undefined && isMeasured(columns, column),
  );
  return (
    <div className="chips scroll" role="group" aria-label="Filters">
      {selection.chips.map(({ key, hides, without }) => (
        <button
          key={key}
          type="button"
          className="chip on"
          data-says={`hides ${count(hides)} that pass all other filters; press to take it off`}
          onClick={() => {
            onChange(without);
            announce(`filter taken off, ${count(hides)} more features`);
          }}
        >
          {describe(state, key, named?.name ?? state.list)} <small>−{count(hides)}</small> <span aria-hidden="true">×</span>
          <span className="heard">take off</span>
        </button>
      ))}
      {state.kinds.length === 0 && (
        <Menu label="class…" className="chip">
          {(close) => (
            <div className="items">
              {KINDS.map((kind) => (
                <button
                  key={kind}
                  type="button"
                  onClick={() => {
                    close();
                    onChange({ ...state, kinds: [kind] });
                  }}
                >
                  {kind} <span className="soft">{count(ofKind(list, kind))}</span>
                </button>
              ))}
            </div>
          )}
        </Menu>
      )}
      {text("fires", "fires on…", "a token, such as ␣have")}
      {text("promotes", "promotes…", "a token, such as ␣the")}
      {text("text", "label…", "text in a label or explanation")}
      {!state.explained && (
        <button type="button" className="chip" onClick={() => onChange({ ...state, explained: true })}>
          explained
        </button>
      )}
      {!state.noted && (
        <button type="button" className="chip" onClick={() => onChange({ ...state, noted: true })}>
          noted
        </button>
      )}
      {state.list === "" && (
        <Menu label="in list…" className="chip">
          {(close) => <ListFilter onSet={(id) => { close(); onChange({ ...state, list: id }); }} />}
        </Menu>
      )}
      {further.length > 0 && (
        <Menu label="more…" className="chip">
          {() => further.map((column) => <ColumnFilter key={column.key} column={column} columns={columns} state={state} onChange={onChange} />)}
        </Menu>
      )}
    </div>
  );
}

function describe(state: ListState, key: string, list: string) {
  const column = numberColumn(key);
  const range = state.ranges[key];
  if (column && range) {
    const low = Number.isFinite(range.low) ? column.format(range.low) : "";
    const high = Number.isFinite(range.high) ? column.format(range.high) : "";
    const bounds = low && high ? `${low}–${high}` : low ? `≥ ${low}` : `≤ ${high}`;
    return (
      <>
        {column.name === "max" ? "maximum" : column.name} <b>{bounds}</b>
      </>
    );
  }
  if (key === "class") return <b>{state.kinds.join(", ")}</b>;
  if (key === "explained" || key === "noted") return <b>{key}</b>;
  const names: Record<string, [string, string]> = {
    fires: ["fires on", state.fires],
    promotes: ["promotes", state.promotes],
    text: ["label", state.text],
    list: ["in list", list],
  };
  const [name, value] = names[key] ?? [key, ""];
  return (
    <>
      {name} <b>{value.replace(/^ /, "␣")}</b>
    </>
  );
}

function ofKind({ columns }: FeatureList, kind: string): number {
  let found = 0;
  for (let row = 0; row < columns.rows; row++) if (kindOf(columns, row) === kind) found++;
  return found;
}

function ListFilter({ onSet }: { onSet: (id: string) => void }) {
  const lists = useLists();
  return (
    <div className="items">
      {lists.error && <Failed what="Lists:" error={lists.error} />}
      {lists.data?.length === 0 && (
        <span className="soft">
          no list yet: <kbd>l</kbd> keeps a feature in one
        </span>
      )}
      {lists.data?.map(({ id, name, features }) => (
        <button key={id} type="button" onClick={() => onSet(id)}>
          {name} <span className="soft">{count(features.length)}</span>
        </button>
      ))}
    </div>
  );
}

function TextFilter({ label, hint, onSet }: { label: string; hint: string; onSet: (value: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Menu label={label} className="chip">
      {(close) => (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            close();
            onSet(input.current?.value ?? "");
          }}
        >
          {/* oxlint-disable-next-line jsx-a11y/no-autofocus -- one opened it to write here */}
          <input ref={input} className="field" aria-label={label.replace("…", "")} placeholder={hint} autoFocus />{" "}
          <button type="submit" className="button">
            filter
          </button>
        </form>
      )}
    </Menu>
  );
}
