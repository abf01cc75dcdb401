using System;

namespace CivetWeb.Net.Core;

/// <summary>
/// The exception for one invalid option. Its message names the option; it names no parameter, because options are checked when the
/// server starts and not when they are passed.
/// </summary>
internal static class OptionError
{
    public static ArgumentException Create(string message) => new(message);
}
