import { useRef, type RefObject } from "react";
import type { NamedGroup } from "../../api/graphs";
import { Menu } from "../../components/Menu";
import { Failed } from "../../components/States";

interface GroupMenuProps {
  groups: readonly NamedGroup[];
  /** How many nodes go into it: the selected one, with the pinned ones where there are any. */
  count: number;
  opener: RefObject<HTMLButtonElement | null>;
  error: Error | null;
  /** Puts them into the group of that name. */
  onGroup: (name: string, done: () => void) => void;
}

/** Puts nodes into a group, or into a new one with a name. */
export function GroupMenu({ groups, count, opener, error, onGroup }: GroupMenuProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <Menu label={count > 1 ? `group ${count} ▾` : "group ▾"} opener={opener}>
      {(close) => (
        <div className="group-menu">
          {count > 1 && <p className="soft small">The selected node and those that are pinned.</p>}
          <div className="items">
            {groups.map(({ name, nodes }) => (
              <button key={name} type="button" onClick={() => onGroup(name, close)}>
                {name} <span className="soft">{nodes.length}</span>
              </button>
            ))}
          </div>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              const name = input.current?.value.trim();
              if (name) onGroup(name, close);
            }}
          >
            <input ref={input} className="field" aria-label="Name of a new group" placeholder="new group" maxLength={200} />{" "}
            <button type="submit" className="button">
              make
            </button>
          </form>
          {error && <Failed what="Not kept:" error={error} />}
        </div>
      )}
    </Menu>
  );
}
