%% What the rows of `processes` are measured beside: the same work as Erlang/OTP does it.
%%
%% Comes in: one command with its numbers per line of standard input. Leaves: one line for each: numbers, or `error` and why.
%% Every rate counts what the receivers counted, and a count that is not what was sent is an error.
%% The end of standard input is the end of this node.
-module(processes).
-behaviour(gen_server).

-export([main/0, start_sinks/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(PATIENCE_MS, 30000).

main() ->
    case io:get_line("") of
        eof ->
            halt(0);
        Line ->
            [Command | Words] = string:lexemes(Line, " \n"),
            Answer = try obey(Command, [word(Word) || Word <- Words])
                     catch Class:Reason:Stack -> {error, {Class, Reason, Stack}}
                     end,
            say(Answer),
            main()
    end.

word(Word) ->
    try list_to_integer(Word) catch error:badarg -> list_to_atom(Word) end.

say({error, Reason}) ->
    io:format("error ~0p~n", [Reason]);
say(Numbers) when is_list(Numbers) ->
    io:format("~s~n", [lists:join(" ", [io_lib:format("~w", [Number]) || Number <- Numbers])]);
say(Other) ->
    io:format("~w~n", [Other]).

obey("ready", []) ->
    ready;

%% Processes of one node.

obey("spawn", [Count]) ->
    {Rate, Pids} = rated(Count, fun() -> [spawn(fun plain/0) || _ <- lists:seq(1, Count)] end),
    Count = length([ok || Pid <- Pids, begin Pid ! {count, self()}, receive {Pid, 0} -> true end end]),
    stop(Pids),
    Rate;
obey("start", [Count]) ->
    {Rate, Pids} = rated(Count, fun() -> start_sinks(Count) end),
    0 = received(Pids),
    stop(Pids),
    Rate;
obey("idle_spawned", [Count]) ->
    keep([spawn(fun plain/0) || _ <- lists:seq(1, Count)]);
obey("idle_started", [Count]) ->
    keep(start_sinks(Count));
obey("call", [Callers, Calls]) ->
    Each = Calls div Callers,
    Sinks = list_to_tuple(start_sinks(Callers)),
    Ask = fun(Caller) -> ask(element(Caller, Sinks), {note, Caller}, Each) end,
    {Rate, _} = rated(Each * Callers, fun() -> each(Callers, Ask) end),
    expect(Each * Callers, tuple_to_list(Sinks)),
    stop(tuple_to_list(Sinks)),
    Rate;
obey("cast", [Senders, Casts, Targets]) ->
    sent(Senders, Casts, start_sinks(Targets), fun(Target) -> gen_server:cast(Target, {note, 7}) end);
obey("send", [Senders, Casts, Targets]) ->
    sent(Senders, Casts, start_sinks(Targets), fun(Target) -> Target ! {note, 7} end);

%% Names of one node.

obey("whereis", [Callers, Lookups, Count]) ->
    {Names, Pids} = named(Count),
    Each = Lookups div Callers,
    Look = fun(Caller) -> look(Names, Caller, Each) end,
    {Rate, Found} = rated(Each * Callers, fun() -> each(Callers, Look) end),
    Each = lists:sum(Found) div Callers,
    stop(Pids),
    Rate;
obey("send_name", [Senders, Sends, Targets]) ->
    {Names, Pids} = named(Targets),
    Send = fun(Sender) -> cycle(Names, Sender, Sends div Senders, fun(Name) -> Name ! {note, 7} end) end,
    counted(Senders, Sends, Pids, Send);
obey("register", [Count]) ->
    Pids = start_sinks(Count),
    Pairs = lists:zip([name(Number) || Number <- lists:seq(1, Count)], Pids),
    {Rate, _} = rated(Count, fun() -> [true = register(Name, Pid) || {Name, Pid} <- Pairs] end),
    true = lists:all(fun({Name, Pid}) -> whereis(Name) =:= Pid end, Pairs),
    stop(Pids),
    Rate;
obey("register_unregister", [Callers, Count]) ->
    Each = Count div Callers,
    Sinks = list_to_tuple(start_sinks(Callers)),
    Give = fun(Caller) -> give_and_take(name(Caller), element(Caller, Sinks), Each) end,
    {Rate, _} = rated(Each * Callers, fun() -> each(Callers, Give) end),
    true = lists:all(fun(Caller) -> whereis(name(Caller)) =:= undefined end, lists:seq(1, Callers)),
    stop(tuple_to_list(Sinks)),
    Rate;

%% A queue in a process.

obey("queue_cast", [Senders, Operations]) ->
    {ok, Queue} = gen_server:start(?MODULE, queue, []),
    Each = Operations div Senders div 2,
    Use = fun(_) -> queue_by_cast(Queue, Each) end,
    {Rate, _} = rated(Each * 2 * Senders, fun() ->
        each(Senders, Use),
        handled(Queue, Each * 2 * Senders)
    end),
    stop([Queue]),
    Rate;
obey("queue_call", [Callers, Operations]) ->
    {ok, Queue} = gen_server:start(?MODULE, queue, []),
    Each = Operations div Callers div 2,
    Use = fun(_) -> queue_by_call(Queue, Each) end,
    {Rate, _} = rated(Each * 2 * Callers, fun() -> each(Callers, Use) end),
    handled(Queue, Each * 2 * Callers),
    stop([Queue]),
    Rate;

%% Other nodes.

obey("join", [Node]) ->
    true = net_kernel:connect_node(Node),
    ok = global:sync(),
    ok;
obey("remote_start", [Node, Count]) ->
    put(remote, erpc:call(Node, ?MODULE, start_sinks, [Count])),
    Count;
obey("remote_cast", [Senders, Casts, Bytes]) ->
    Body = binary:copy(<<7>>, Bytes),
    sent_on(Senders, Casts, get(remote), fun(Target) -> gen_server:cast(Target, {load, Body}) end);
obey("remote_send", [Senders, Casts, Bytes]) ->
    Body = binary:copy(<<7>>, Bytes),
    sent_on(Senders, Casts, get(remote), fun(Target) -> Target ! {load, Body} end);
obey("remote_call", [Callers, Calls, Bytes]) ->
    Each = Calls div Callers,
    Sinks = list_to_tuple(lists:sublist(get(remote), Callers)),
    Body = binary:copy(<<7>>, Bytes),
    Before = received(tuple_to_list(Sinks)),
    Ask = fun(Caller) -> ask(element(Caller, Sinks), {load, Body}, Each) end,
    {Rate, _} = rated(Each * Callers, fun() -> each(Callers, Ask) end),
    expect(Before + Each * Callers, tuple_to_list(Sinks)),
    Rate;
obey("remote_latency", [Warm, Calls, Bytes]) ->
    [Sink | _] = get(remote),
    Body = binary:copy(<<7>>, Bytes),
    ask(Sink, {load, Body}, Warm),
    Times = lists:sort([latency(Sink, {load, Body}) || _ <- lists:seq(1, Calls)]),
    [lists:nth(max(1, ceil(Calls * Share)), Times) || Share <- [0.50, 0.99]];
obey("watch", [Node]) ->
    [Sink] = erpc:call(Node, ?MODULE, start_sinks, [1]),
    Monitor = monitor(process, Sink),
    0 = gen_server:call(Sink, received),
    say(watched),
    receive {'DOWN', Monitor, process, Sink, Reason} -> Reason end;
obey("global", [Callers, Count]) ->
    Each = Count div Callers,
    Sinks = list_to_tuple(start_sinks(Callers)),
    Give = fun(Caller) -> give_and_take_global({name, Caller}, element(Caller, Sinks), Each) end,
    {Rate, _} = rated(Each * Callers, fun() -> each(Callers, Give) end),
    stop(tuple_to_list(Sinks)),
    Rate;
obey("global_whereis", [Callers, Count]) ->
    Each = Count div Callers,
    Sinks = start_sinks(Callers),
    Numbers = lists:seq(1, Callers),
    [yes = global:register_name({name, Number}, Sink) || {Number, Sink} <- lists:zip(Numbers, Sinks)],
    Look = fun(Caller) -> look_global({name, Caller}, Each) end,
    {Rate, _} = rated(Each * Callers, fun() -> each(Callers, Look) end),
    [global:unregister_name({name, Number}) || Number <- Numbers],
    stop(Sinks),
    Rate.

%% Time and counts.

rated(Count, Work) ->
    Began = erlang:monotonic_time(nanosecond),
    Result = Work(),
    {Count * 1.0e9 / (erlang:monotonic_time(nanosecond) - Began), Result}.

%% Runs one process for each number, and returns what they return.
each(Count, Work) ->
    Workers = [spawn_monitor(fun() -> exit({done, Work(Number)}) end) || Number <- lists:seq(1, Count)],
    [receive {'DOWN', Monitor, process, _, {done, Result}} -> Result;
             {'DOWN', Monitor, process, _, Reason} -> error(Reason)
     end || {_, Monitor} <- Workers].

sent(Senders, Casts, Sinks, Send) ->
    Rate = sent_on(Senders, Casts, Sinks, Send),
    stop(Sinks),
    Rate.

sent_on(Senders, Casts, Sinks, Send) ->
    Targets = list_to_tuple(Sinks),
    All = fun(Sender) -> cycle(Targets, Sender, Casts div Senders, Send) end,
    Before = received(Sinks),
    {Rate, _} = rated(Casts div Senders * Senders, fun() ->
        each(Senders, All),
        expect(Before + Casts div Senders * Senders, Sinks)
    end),
    Rate.

counted(Senders, Sends, Sinks, Send) ->
    {Rate, _} = rated(Sends div Senders * Senders, fun() ->
        each(Senders, Send),
        expect(Sends div Senders * Senders, Sinks)
    end),
    stop(Sinks),
    Rate.

cycle(_, _, 0, _) -> ok;
cycle(Targets, At, Left, Send) ->
    Send(element(At rem tuple_size(Targets) + 1, Targets)),
    cycle(Targets, At + 1, Left - 1, Send).

ask(_, _, 0) -> ok;
ask(Sink, Question, Left) ->
    gen_server:call(Sink, Question, ?PATIENCE_MS),
    ask(Sink, Question, Left - 1).

latency(Sink, Question) ->
    Began = erlang:monotonic_time(nanosecond),
    gen_server:call(Sink, Question, ?PATIENCE_MS),
    erlang:monotonic_time(nanosecond) - Began.

look(Names, At, Left) ->
    look(Names, At, Left, 0).

look(_, _, 0, Found) -> Found;
look(Names, At, Left, Found) ->
    true = is_pid(whereis(element(At rem tuple_size(Names) + 1, Names))),
    look(Names, At + 1, Left - 1, Found + 1).

give_and_take(_, _, 0) -> ok;
give_and_take(Name, Pid, Left) ->
    true = register(Name, Pid),
    true = unregister(Name),
    give_and_take(Name, Pid, Left - 1).

give_and_take_global(_, _, 0) -> ok;
give_and_take_global(Name, Pid, Left) ->
    yes = global:register_name(Name, Pid),
    global:unregister_name(Name),
    give_and_take_global(Name, Pid, Left - 1).

look_global(_, 0) -> ok;
look_global(Name, Left) ->
    true = is_pid(global:whereis_name(Name)),
    look_global(Name, Left - 1).

queue_by_cast(_, 0) -> ok;
queue_by_cast(Queue, Left) ->
    gen_server:cast(Queue, {in, Left}),
    gen_server:cast(Queue, out),
    queue_by_cast(Queue, Left - 1).

queue_by_call(_, 0) -> ok;
queue_by_call(Queue, Left) ->
    ok = gen_server:call(Queue, {in, Left}, ?PATIENCE_MS),
    {value, _} = gen_server:call(Queue, out, ?PATIENCE_MS),
    queue_by_call(Queue, Left - 1).

handled(Queue, Count) ->
    Count = gen_server:call(Queue, handled, ?PATIENCE_MS).

%% Who is sent to.

start_sinks(Count) ->
    [begin {ok, Pid} = gen_server:start(?MODULE, sink, []), Pid end || _ <- lists:seq(1, Count)].

plain() ->
    plain(0).

plain(Received) ->
    receive
        {note, _} -> plain(Received + 1);
        {count, From} -> From ! {self(), Received}, plain(Received)
    end.

named(Count) ->
    Pids = start_sinks(Count),
    Names = [name(Number) || Number <- lists:seq(1, Count)],
    [true = register(Name, Pid) || {Name, Pid} <- lists:zip(Names, Pids)],
    {list_to_tuple(Names), Pids}.

%% As long as the names of the other peers.
name(Number) ->
    list_to_atom(lists:flatten(io_lib:format("entity-~9..0b", [Number]))).

keep(Pids) ->
    put(kept, [Pids | case get(kept) of undefined -> []; Kept -> Kept end]),
    length(Pids).

received(Sinks) ->
    lists:sum([gen_server:call(Sink, received, ?PATIENCE_MS) || Sink <- Sinks]).

expect(Count, Sinks) ->
    Count = received(Sinks).

stop(Pids) ->
    Monitors = [monitor(process, Pid) || Pid <- Pids],
    [exit(Pid, kill) || Pid <- Pids],
    [receive {'DOWN', Monitor, process, _, _} -> ok end || Monitor <- Monitors],
    ok.

init(sink) -> {ok, 0};
init(queue) -> {ok, {0, queue:new()}}.

handle_call({note, _}, _, Received) -> {reply, Received + 1, Received + 1};
handle_call({load, _}, _, Received) -> {reply, Received + 1, Received + 1};
handle_call(received, _, Received) -> {reply, Received, Received};
handle_call({in, Item}, _, {Handled, Queue}) -> {reply, ok, {Handled + 1, queue:in(Item, Queue)}};
handle_call(out, _, {Handled, Queue}) ->
    {Item, Rest} = queue:out(Queue),
    {reply, Item, {Handled + 1, Rest}};
handle_call(handled, _, {Handled, Queue}) -> {reply, Handled, {Handled, Queue}}.

handle_cast({note, _}, Received) -> {noreply, Received + 1};
handle_cast({load, _}, Received) -> {noreply, Received + 1};
handle_cast({in, Item}, {Handled, Queue}) -> {noreply, {Handled + 1, queue:in(Item, Queue)}};
handle_cast(out, {Handled, Queue}) ->
    {_, Rest} = queue:out(Queue),
    {noreply, {Handled + 1, Rest}}.

handle_info({note, _}, Received) -> {noreply, Received + 1};
handle_info({load, _}, Received) -> {noreply, Received + 1}.
